package command

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestCommandFails(t *testing.T) {
	for _, tt := range []struct {
		name, body, want string
	}{
		{"says why", "echo starting; echo no such proxy >&2; exit 1", "exit status 1: no such proxy"},
		{"says nothing", "exit 3", "exit status 3"},
		{"ends with empty lines", "echo no such proxy; echo; echo '  '; exit 1", "exit status 1: no such proxy"},
		{"colours its output", `printf '\033[1;31mbad\033[0m \033]0;title\007key\a\b\n'; exit 1`, "exit status 1: bad key\uFFFD"},
		{"draws a progress bar", `printf '10%%\r20%%\rfailed'; exit 1`, "exit status 1: failed"},
		{"writes what is no text", `printf 'a\377b\342\200\256c\n'; exit 1`, "exit status 1: a\uFFFDb\uFFFDc"},
		{"writes a long line", "printf '%2000d' 1 | tr ' ' x; exit 1", "exit status 1: " + strings.Repeat("x", 509) + "…"},
		{"dies of a signal", "echo dying; kill -9 $$", "signal: killed: dying"},
		{"hangs", "echo waiting; sleep 1000", "timed out after 1s: waiting"},
		{"hangs and ignores signals", "trap '' TERM; echo waiting; sleep 1000; sleep 1000", "timed out after 1s: waiting"},
		{"hangs and leaves politely", "trap 'exit 0' TERM; echo waiting; sleep 1000 & wait", "timed out after 1s: waiting"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := script(t, tt.body)
			start := time.Now()
			c := Command{Argv: []string{path}, Timeout: time.Second}
			if !strings.Contains(tt.name, "hangs") {
				c.Timeout = 20 * time.Second
			}
			err := c.Run(t.Context(), Event{})
			if want := "hook \"" + path + "\": " + tt.want; err == nil || err.Error() != want {
				t.Errorf("Run = %v\nwant  %s", err, want)
			}
			ce, ok := errors.AsType[*Error](err)
			if !ok || ce.Remedy() != "run the command by hand, fix what it complains about, then: keypaird issue" {
				t.Errorf("remedy of %T is missing", err)
			}
			if d := time.Since(start); strings.Contains(tt.name, "hangs") && d > 30*time.Second {
				t.Errorf("took %s", d)
			}
		})
	}
}

// A command that does well by hand may not in the sandbox of a unit.
func TestRemedyInAUnit(t *testing.T) {
	t.Setenv("INVOCATION_ID", "0123")
	failed := &Error{Program: "proftpd", Err: errors.New("exit status 1"), Output: "unable to open '/var/log/proftpd/controls.log'"}
	if got := failed.Remedy(); !strings.HasPrefix(got, "run the command by hand, ") || !strings.Contains(got, "ReadWritePaths=") {
		t.Errorf("remedy = %q", got)
	}
	failed.Output = "proftpd.service is not active, cannot reload."
	if got := failed.Remedy(); strings.Contains(got, "sandbox") {
		t.Errorf("remedy of a server that does not run = %q", got)
	}
}

// gone reports whether a process has ended. One that nobody has waited for yet
// counts as ended.
func gone(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return true
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && strings.Contains(string(stat), ") Z ")
}

// pidIn reads a process id from a file.
func pidIn(t *testing.T, path string) int {
	t.Helper()
	pid := 0
	eventually(t, path, func() bool {
		n, err := strconv.Atoi(strings.TrimSpace(text(t, path)))
		pid = n
		return err == nil
	})
	return pid
}

func TestCommandEndsItsGrandchildren(t *testing.T) {
	dir := safeDir(t)
	body := "(trap 'echo tidied >" + dir + "/c; exit' TERM; while :; do sleep 0.05; done) & echo $! >" + dir + "/a;" +
		"(trap '' TERM; sleep 1000) & echo $! >" + dir + "/b; wait"
	c := Command{Argv: []string{script(t, body)}, Timeout: time.Second}
	if err := c.Run(t.Context(), Event{}); err == nil {
		t.Fatal("Run = nil for a command that hangs")
	}
	for _, f := range []string{"a", "b"} {
		pid := pidIn(t, filepath.Join(dir, f))
		eventually(t, "end of grandchild "+f, func() bool { return gone(pid) })
	}
	if got := text(t, dir+"/c"); got != "tidied\n" {
		t.Errorf("a grandchild had no time to tidy up: %s", got)
	}
}

// A reload may start a daemon, which must neither be waited for nor ended.
func TestCommandLeavesADaemon(t *testing.T) {
	dir := safeDir(t)
	start := time.Now()
	c := Command{Argv: []string{script(t, "sleep 1000 & echo $! >"+dir+"/pid; echo started")}}
	if err := c.Run(t.Context(), Event{}); err != nil {
		t.Error(err)
	}
	if d := time.Since(start); d > 30*time.Second {
		t.Errorf("took %s", d)
	}
	pid := pidIn(t, dir+"/pid")
	if gone(pid) {
		t.Error("the daemon was ended")
	}
	syscall.Kill(pid, syscall.SIGKILL)
}

func TestCommandLeavesTheGroup(t *testing.T) {
	file := filepath.Join(safeDir(t), "pid")
	c := Command{Argv: []string{self(t), "leave-the-group", file}, Timeout: time.Second}
	start := time.Now()
	err := c.Run(t.Context(), Event{})
	if err == nil || !strings.Contains(err.Error(), "timed out") {
		t.Errorf("Run = %v, want a time-out", err)
	}
	if d := time.Since(start); d > 30*time.Second {
		t.Errorf("took %s: held up by a process that holds the output", d)
	}
	syscall.Kill(pidIn(t, file), syscall.SIGKILL)
}

func TestCommandIsInterrupted(t *testing.T) {
	dir := safeDir(t)
	ctx, cancel := context.WithCancel(t.Context())
	c := Command{Argv: []string{script(t, "trap '' TERM; echo $$ >"+dir+"/pid; sleep 1000; sleep 1000")}}
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx, Event{}) }()
	pid := pidIn(t, dir+"/pid")
	cancel()
	start := time.Now()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Run = %v, want context.Canceled", err)
	}
	if d := time.Since(start); d > 30*time.Second {
		t.Errorf("took %s to end", d)
	}
	if !gone(pid) {
		t.Error("the command lives on")
	}
	if err := c.Run(ctx, Event{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Run with a context that has ended = %v", err)
	}
}

func TestCommandOutput(t *testing.T) {
	c := Command{Argv: []string{script(t, "head -c 30000000 /dev/zero | tr '\\0' x; echo; seq 1 4000; exit 1")}}
	ce, ok := errors.AsType[*Error](c.Run(t.Context(), Event{}))
	if !ok {
		t.Fatal("Run = nil")
	}
	if n := len(ce.Output); n > maxOutput || n < maxOutput-100 {
		t.Errorf("%d bytes kept, want the last %d", n, maxOutput)
	}
	if !strings.HasSuffix(ce.Output, "\n3999\n4000") {
		t.Errorf("output ends with %q", ce.Output[len(ce.Output)-20:])
	}
	if first, _, _ := strings.Cut(ce.Output, "\n"); len(first) != 4 {
		t.Errorf("output starts in the middle of a line: %q", first)
	}
}

// A server that a command starts in the background writes on after the command has
// ended: no signal may end it, and its output must not fill memory or disk.
func TestDaemonWritesOn(t *testing.T) {
	dir := safeDir(t)
	c := Command{Argv: []string{script(t, "("+
		"while [ ! -e "+dir+"/go ]; do sleep 0.01; done; echo early; echo wrote >"+dir+"/early;"+
		"dd if=/dev/zero bs=65536 count=1000 2>/dev/null; echo late; echo alive >"+dir+"/late; exec sleep 1000"+
		") & echo $! >"+dir+"/pid; echo started")}}
	start := time.Now()
	if err := c.Run(t.Context(), Event{}); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(start); d > 30*time.Second {
		t.Errorf("took %s", d)
	}
	pid := pidIn(t, dir+"/pid")
	defer syscall.Kill(pid, syscall.SIGKILL)
	write(t, dir+"/go", "")
	eventually(t, "first line after the command", func() bool { return text(t, dir+"/early") == "wrote\n" || gone(pid) })
	eventually(t, "line after 64 MB", func() bool { return text(t, dir+"/late") == "alive\n" || gone(pid) })
	if gone(pid) {
		t.Error("the server was ended by its own output")
	}
	if info, err := os.Stat("/proc/" + strconv.Itoa(pid) + "/fd/1"); err == nil && info.Size() > maxLater {
		t.Errorf("its output takes %d bytes, want at most %d", info.Size(), maxLater)
	}
}

// What a command writes while it runs is bounded too, and its last line is not lost.
func TestOutputIsTrimmed(t *testing.T) {
	out, err := newOutput()
	if err != nil {
		t.Fatal(err)
	}
	defer out.close()
	for range 3 {
		if _, err := out.file.Write(make([]byte, maxHeld)); err != nil {
			t.Fatal(err)
		}
		out.trim()
	}
	io.WriteString(out.file, "\nno such proxy\n")
	if got := out.text(); got != "no such proxy" {
		t.Errorf("text = %q", got)
	}
	info, err := out.file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if st := info.Sys().(*syscall.Stat_t); st.Blocks*512 > maxHeld {
		t.Errorf("%d bytes are held, want at most %d", st.Blocks*512, maxHeld)
	}
}

func TestCommandSurroundings(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "not for hooks")
	out := filepath.Join(safeDir(t), "out")
	c := Command{Argv: []string{script(t, `{ pwd; cat; echo "$# $1 $2"; ps -o pgid= -p $$ | tr -d ' '; echo $$; } >`+out), "a b", "$(id)"}}
	if err := c.Run(t.Context(), Event{}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(text(t, out)), "\n")
	if len(lines) != 4 || lines[0] != "/" || lines[1] != "2 a b $(id)" {
		t.Errorf("directory, input and arguments: %q", lines)
	} else if lines[2] != lines[3] {
		t.Errorf("process group %s, process %s: not a group of its own", lines[2], lines[3])
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "not for hooks")
	not := time.Date(2027, 3, 1, 12, 0, 0, 0, time.FixedZone("", 3600))
	for _, tt := range []struct {
		name string
		ev   Event
		want []string
	}{
		{"nothing", Event{}, nil},
		{"one target", Event{EventDeploy, []string{"example.org"}, "example.org", "/s/certs/example.org/v000001", "ab12", not, "", ""}, []string{
			"KEYPAIRD_EVENT=deploy", "KEYPAIRD_NAMES=example.org", "KEYPAIRD_NAME=example.org",
			"KEYPAIRD_DIR=/s/certs/example.org/v000001", "KEYPAIRD_FULLCHAIN=/s/certs/example.org/v000001/fullchain.pem",
			"KEYPAIRD_KEY=/s/certs/example.org/v000001/privkey.pem", "KEYPAIRD_FINGERPRINT=ab12",
			"KEYPAIRD_NOT_AFTER=2027-03-01T11:00:00Z"}},
		{"several targets", Event{Kind: EventRollback, Names: []string{"a.example", "*.b.example"}, Error: "two\nlines\x00 \x1b[1mbold", Remedy: "mend\nit"}, []string{
			"KEYPAIRD_EVENT=rollback", "KEYPAIRD_NAMES=a.example *.b.example", "KEYPAIRD_ERROR=two lines� bold", "KEYPAIRD_REMEDY=mend it"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log strings.Builder
			c := Command{Argv: []string{self(t), "print-environment"}, Log: textLog(&log)}
			if err := c.Run(t.Context(), tt.ev); err != nil {
				t.Fatal(err)
			}
			want := append([]string{"PATH=" + Path, "LANG=C"}, tt.want...)
			if got := strings.Join(want, `\n`); !strings.Contains(log.String(), `output="`+got+`"`) {
				t.Errorf("log = %s\nwant %s", log.String(), got)
			}
		})
	}
}

func TestProgramsThatAreNotRun(t *testing.T) {
	ran := filepath.Join(safeDir(t), "ran")
	body := "#!/bin/sh\ntouch " + ran + "\n"
	place := func(dirMode, mode os.FileMode) string {
		dir := safeDir(t)
		path := filepath.Join(dir, "hook")
		write(t, path, body)
		os.Chmod(path, mode)
		os.Chmod(dir, dirMode)
		t.Cleanup(func() { os.Chmod(dir, 0o755) })
		return path
	}
	link := filepath.Join(safeDir(t), "link")
	if err := os.Symlink(place(0o777, 0o755), link); err != nil {
		t.Fatal(err)
	}
	loop := filepath.Join(safeDir(t), "loop")
	os.Symlink(loop, loop)
	writable := place(0o755, 0o775)
	for _, tt := range []struct {
		name, program, want, remedy string
	}{
		{"no program", "", "", ""},
		{"not installed", "keypaird-no-such-program", "is not in /usr/local/sbin:", "write its absolute path"},
		{"relative path", "./hook", "is neither an absolute path nor a bare name", "write its absolute path"},
		{"shell line", "rcctl reload relayd", "is not in ", "absolute path"},
		{"missing file", "/nonexistent/hook", "does not exist", "install it"},
		{"directory", safeDir(t), "is not a regular file", "name a program"},
		{"group may write it", writable, "can be written by others (mode 0775)", "chmod go-w " + writable},
		{"others may write it", place(0o755, 0o757), "can be written by others", "chmod"},
		{"others may write its directory", place(0o777, 0o755), "can be written by everyone", "chmod"},
		{"group may write its directory", place(0o775, 0o755), "can be written by its group", "chmod"},
		{"link to one that others may replace", link, "can be written by everyone", "chmod"},
		{"link to itself", loop, "too many symbolic links", "write the path"},
		{"not executable", place(0o755, 0o644), "is not executable", "chmod 755"},
		{"not a program", place(0o755, 0o755) + "/x", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := (&Command{Argv: []string{tt.program}}).Run(t.Context(), Event{})
			ce, ok := errors.AsType[*Error](err)
			if !ok || !strings.Contains(err.Error(), tt.want) || ce.Remedy() == "" || !strings.Contains(ce.Remedy(), tt.remedy) {
				t.Errorf("Run = %v, want %q and remedy %q", err, tt.want, tt.remedy)
			}
		})
	}
	if text(t, ran) != "(none)" {
		t.Error("a program was run after all")
	}
}

func TestPrograms(t *testing.T) {
	if err := (&Command{}).Run(t.Context(), Event{}); err == nil {
		t.Error("Run of nothing = nil")
	}
	if err := safeProgram("/bin/sh"); err != nil {
		t.Error(err)
	}
	if os.Geteuid() == 0 { // only root can make one
		path := script(t, "")
		if err := os.Chown(path, 65534, 0); err != nil {
			t.Fatal(err)
		}
		if err := safeProgram(path); err == nil || !strings.Contains(err.Error(), "belongs to user 65534") {
			t.Errorf("a program of another user: %v", err)
		}
	}
}
