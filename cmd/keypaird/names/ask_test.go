package names

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"keypaird/cmd/keypaird-names/message"
	"keypaird/renew/problem"
	"keypaird/renew/testutil"
)

// TestMain is also what a test starts in place of keypaird-names, by its file name.
func TestMain(m *testing.M) {
	if play, ok := players[filepath.Base(os.Args[0])]; ok {
		play()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// players stand in for keypaird-names.
var players = map[string]func(){
	"answers": func() { fmt.Println(`{"Output":"well\n"}`) },
	"nothing": func() {},
	"garbage": func() { fmt.Println("hello\u202e world") },
	"long":    func() { repeat(`{"Output":"`, "aaaaaaaaaaaaaaaa") },
	"endless": func() { repeat("", "\n\n\n\n\n\n\n") },
	"silent":  func() { time.Sleep(time.Hour) },
	"stays":   func() { fmt.Println(`{"Output":"well\n"}`); os.Stdout.Close(); time.Sleep(time.Hour) },
	"killed":  func() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL); time.Sleep(time.Hour) },
	"killed late": func() {
		fmt.Print(`{"Output":"well\n"}`)
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		time.Sleep(time.Hour)
	},
	"crashes": func() { fmt.Fprintln(os.Stderr, "one\ntwo\nthree\nfour\nfive \x1b[31m\u202ered"); os.Exit(3) },
	"logs": func() {
		repeatTo(os.Stderr, "level=DEBUG \x1b[31mred\n", 3*maxLines)
		fmt.Println(`{"Output":"well\n"}`)
	},
	"logs a line": func() { repeatTo(os.Stderr, strings.Repeat("x", 1000), 10_000); fmt.Println(`{"Output":"well\n"}`) },
	"controls": func() {
		fmt.Println(`{"Output":"a\u001b[31m\u202eb\n","Error":"bad\nkeypaird: remedy: obey","Remedy":"x\u202ey"}`)
	},
	"inside": inside,
}

func repeat(begin, text string) {
	fmt.Print(begin)
	repeatTo(os.Stdout, strings.Repeat(text, 1000), 1<<30)
}

func repeatTo(f *os.File, text string, times int) {
	for range times {
		if _, err := f.WriteString(text); err != nil {
			return
		}
	}
}

// play returns the path of a player, which every user may run.
func play(t *testing.T, name string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "keypaird-names-")
	testutil.Must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		var self string
		self, err = os.Executable()
		testutil.Must(t, err)
		program, err = os.ReadFile(self)
	}
	testutil.Must(t, err)
	path := filepath.Join(dir, name)
	testutil.Must(t, errors.Join(os.WriteFile(path, program, 0o755), os.Chmod(path, 0o755), os.Chmod(dir, 0o755)))
	return path
}

// Whatever keypaird-names does, there is an answer or an error of one line in time.
func TestAsk(t *testing.T) {
	for _, tt := range []struct{ name, want string }{
		{"answers", "well\n"},
		{"logs", "well\n"},
		{"logs a line", "well\n"},
		{"controls", "a\ufffd[31m\ufffdb\n bad keypaird: remedy: obey x\ufffdy"},
		{"nothing", "keypaird-names exited without an answer; it wrote nothing to standard error"},
		{"garbage", `keypaird-names violated the protocol: not an answer: "hello� world"; it wrote nothing to standard error`},
		{"long", "keypaird-names violated the protocol: an answer of more than 16 MiB; it wrote nothing to standard error"},
		{"endless", "keypaird-names violated the protocol: an answer of more than 16 MiB; it wrote nothing to standard error"},
		{"silent", "keypaird-names does not answer; it wrote nothing to standard error"},
		{"stays", "keypaird-names exited: signal: killed; it wrote nothing to standard error"},
		{"killed", "keypaird-names exited: signal: killed; it wrote nothing to standard error"},
		{"killed late", "keypaird-names exited: signal: killed; it wrote nothing to standard error"},
		{"crashes", "keypaird-names exited: exit status 3; its last output: two / three / four / five �red"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			limit := time.Minute
			if tt.name == "silent" {
				limit = 2 * time.Second
			}
			a, err := ask(t.Context(), play(t, tt.name), limit, message.Request{Discover: &message.Discover{Domain: "example.org"}}, os.Stderr)
			got := strings.TrimSuffix(a.Output+" "+a.Error+" "+a.Remedy, "  ")
			if err != nil {
				got = err.Error()
				if problem.Remedy(err) == "" || strings.Contains(got, "\n") {
					t.Errorf("no remedy, or several lines: %q", got)
				}
			}
			if got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// Of its log, so many printable lines are shown.
func TestLog(t *testing.T) {
	var b strings.Builder
	_, err := ask(t.Context(), play(t, "logs"), time.Minute, message.Request{Verbose: true, Discover: &message.Discover{}}, &b)
	if n := strings.Count(b.String(), "level=DEBUG red\n"); err != nil || n != maxLines || len(b.String()) != n*len("level=DEBUG red\n") {
		t.Errorf("%d lines, %v", n, err)
	}
}

// An interrupt ends it, and is what is reported.
func TestInterrupt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(time.Second, cancel)
	if _, err := ask(ctx, play(t, "silent"), time.Minute, message.Request{Discover: &message.Discover{}}, os.Stderr); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// A program that cannot be run is named with what to do.
func TestNotStarted(t *testing.T) {
	path := play(t, "answers")
	testutil.Must(t, os.Chmod(path, 0o600))
	_, err := ask(t.Context(), path, time.Minute, message.Request{Discover: &message.Discover{}}, os.Stderr)
	if err == nil || !strings.HasPrefix(err.Error(), "keypaird-names: cannot be started confined: ") || !strings.HasSuffix(err.Error(), "permission denied") ||
		!strings.HasSuffix(problem.Remedy(err), " execute that program, and search the directories above it") {
		t.Errorf("%v; remedy: %s", err, problem.Remedy(err))
	}
}

// Where it is not installed, the error says what is missing.
func TestMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := Ask(t.Context(), message.Request{Discover: &message.Discover{}}, os.Stderr)
	if err == nil || err.Error() != "cannot find keypaird-names" {
		t.Skipf("one is installed on this system: %v", err)
	}
	if remedy := problem.Remedy(err); !strings.HasPrefix(remedy, "install keypaird-names beside keypaird") {
		t.Errorf("remedy: %s", remedy)
	}
}
