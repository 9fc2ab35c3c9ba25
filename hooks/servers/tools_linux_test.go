package servers

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"keypaird/hooks/command"
	"keypaird/renew/testutil"
)

// startTimeout bounds every wait for a server: on a busy machine ejabberd takes
// minutes to start.
const startTimeout = 8 * time.Minute

// eventually waits until there is no error.
func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	if err := testutil.Within(startTimeout, try); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// environment is that of the programs we start.
func environment(more ...string) []string {
	return append([]string{"PATH=" + command.Path, "LANG=C", "HOME=/root"}, more...)
}

// must runs a command of the administrator's.
func must(t *testing.T, argv ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), located(t, argv[0]), argv[1:]...)
	cmd.Env = environment()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	return string(out)
}

// located returns the path of a program that the test needs.
func located(t *testing.T, name string) string {
	t.Helper()
	if filepath.IsAbs(name) {
		return name
	}
	return testutil.Program(t, name)
}

// background starts a program that is to run until the test ends. What it says
// is shown if the test fails.
func background(t *testing.T, program string, cmd *exec.Cmd) *process {
	t.Helper()
	log, err := os.Create(filepath.Join(ours, program+".log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	p := &process{cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		cmd.Wait()
	}()
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("%s: %s", program, tail(log.Name()))
		}
	})
	return p
}

// A process is a program in the background.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// stop ends its group: gently, then not.
func (p *process) stop() {
	group := -p.cmd.Process.Pid
	syscall.Kill(group, syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(5 * time.Second):
		syscall.Kill(group, syscall.SIGKILL)
		<-p.done
	}
}

// tail is the end of a log; "" if there is none.
func tail(path string) string {
	data, _ := os.ReadFile(path)
	const keep = 6000
	if len(data) > keep {
		data = data[len(data)-keep:]
	}
	return strings.ToValidUTF8(string(data), "?")
}

// write replaces the content of a file, which keeps its owner and mode.
func write(t *testing.T, path, text string) {
	t.Helper()
	testutil.WriteFile(t, path, text, 0o644)
}

// read returns what is in a file.
func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// extend adds to a file of a package.
func extend(t *testing.T, path, text string) {
	t.Helper()
	write(t, path, read(t, path)+"\n"+text+"\n")
}

// replace replaces a text in a file of a package, where it is found.
func replace(t *testing.T, path, old, text string) {
	t.Helper()
	was := read(t, path)
	if !strings.Contains(was, old) {
		t.Fatalf("%q is not in %s, which is not as the package installs it:\n%s", old, path, was)
	}
	write(t, path, strings.Replace(was, old, text, 1))
}

// script writes a program.
func script(t *testing.T, path, body string) {
	t.Helper()
	write(t, path, "#!/bin/sh\n"+body)
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
}

// keypaird runs the program, which has to exit like that, and returns what it
// says.
func (r *rig) keypaird(status int, args ...string) string {
	r.t.Helper()
	began := time.Now()
	said, got := r.exit(args...)
	if got != status {
		r.t.Fatalf("keypaird %s: exit status %d, want %d\n%s", strings.Join(args, " "), got, status, said)
	}
	if status == 0 && args[0] == "issue" {
		r.took = time.Since(began)
	}
	return said
}

// patience is the timeout of a deployment that is to fail: haste, or more where the
// last one that went well took long, on a busy machine. Its roll-back has to go well.
func (r *rig) patience() time.Duration { return max(r.haste, 4*r.took).Round(time.Second) }

// exit runs the program, and returns what it says and how it exits.
func (r *rig) exit(args ...string) (said string, status int) {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), filepath.Join(os.Getenv(insideEnv), "keypaird"), args...)
	cmd.Env = environment()
	out, err := cmd.CombinedOutput()
	exit, failed := errors.AsType[*exec.ExitError](err)
	switch {
	case failed:
		return string(out), exit.ExitCode()
	case err != nil:
		r.t.Fatal(err)
	}
	return string(out), 0
}

// quote is a Go string as TOML has it.
func quote(s string) string { return fmt.Sprintf("%q", s) }
