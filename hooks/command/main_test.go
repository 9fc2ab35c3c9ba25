package command

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"keypaird/renew/testutil"
)

// The test binary is also the programs that the tests need: started with one
// of these as its first argument, it is that.
func TestMain(m *testing.M) {
	os.Unsetenv("INVOCATION_ID") // remedies have more of it
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "print-environment":
			fmt.Println(strings.Join(os.Environ(), "\n"))
			exit(0)
		case "leave-the-group":
			leaveTheGroup()
		case "adopt":
			adopt(os.Args[2])
		}
	}
	os.Exit(testutil.Run(m))
}

// self returns the path of the test binary.
func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// leaveTheGroup starts a process in a session of its own that holds our
// output, says which, and waits for it.
func leaveTheGroup() {
	c := exec.Command("/bin/sleep", "20")
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := c.Start(); err != nil {
		fmt.Println(err)
		exit(1)
	}
	if err := os.WriteFile(os.Args[2], fmt.Append(nil, c.Process.Pid), 0o600); err != nil {
		fmt.Println(err)
	}
	c.Wait()
	exit(0)
}

// adopt is set where processes are adopted.
var adopt = func(string) { exit(1) }

// exit is os.Exit without the second that the race detector takes for it.
func exit(status int) { syscall.Exit(status) }

// textLog is a logger that writes to w.
func textLog(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	testutil.WriteFile(t, path, text, 0o600)
}

// Helpers that several packages share.
var (
	eventually = testutil.Eventually
	safeDir    = testutil.SafeDir
	script     = testutil.Script
	text       = testutil.Text
)
