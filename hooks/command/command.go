package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"keypaird/renew/problem"
	"keypaird/renew/process"
)

// DefaultTimeout is how long a command may take by default.
const DefaultTimeout = time.Minute

// How long the end of a command may take: from SIGTERM to SIGKILL, and then to its
// end. And how often its output is bounded.
const (
	grace       = 400 * time.Millisecond
	trimPeriod  = 20 * time.Millisecond
	killTimeout = 5 * time.Second // from SIGKILL to the end; the kernel may keep a process in a call, of a dead file server say
)

var errStays = errors.New("still running after SIGKILL (blocked on I/O?)")

// A Command is a program to run when something has happened.
//
// There is no shell. The program runs in the directory "/", with null input and an
// environment of PATH, LANG and the variables of an [Event] only. It has a process
// group of its own, which is killed at the time limit. A process that leaves the
// group (setsid) is not killed. The command has ended when its process has: Run does
// not wait for the processes that it leaves behind, such as a server, and they can
// write on, see [output].
type Command struct {
	Argv    []string      // program and arguments; at least one. The program is absolute or a name to be found in Path
	Timeout time.Duration // zero means DefaultTimeout
	Log     *slog.Logger  // nil: nothing is logged
}

// A Error reports a command that could not be run or did not succeed.
type Error struct {
	Program string // as configured
	Err     error  // an exit status, a signal or a timeout
	Output  string // the last it wrote, several lines, without control characters
}

func (e *Error) Error() string {
	s := fmt.Sprintf("hook %q: %v", e.Program, e.Err)
	if l := lastLine(e.Output); l != "" {
		s += ": " + l
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// Remedy says what the operator can do about it.
func (e *Error) Remedy() string {
	if stopped(e.Output) {
		return "the server does not run: start it, and see in its log why it ended, then: keypaird issue"
	}
	remedy := "run the command by hand, fix what it complains about, then: keypaird issue"
	if os.Getenv("INVOCATION_ID") != "" { // of a unit: systemd.exec(5)
		remedy += "; if it does well by hand, the sandbox of keypaird's unit keeps it from something: allow that, by ReadWritePaths= say (systemctl edit keypaird)"
	}
	return cmp.Or(problem.Remedy(e.Err), remedy)
}

// Run runs the command and returns nil, or a *Error. If ctx ends, the command
// is ended within a second, and errors.Is finds ctx's error. Run returns after five
// seconds even if a process does not end.
func (c *Command) Run(ctx context.Context, ev Event) error {
	if len(c.Argv) == 0 {
		return &Error{Err: errors.New("no program")}
	}
	if _, err := Find(c.Argv[0]); err != nil {
		return err
	}
	log := cmp.Or(c.Log, slog.New(slog.DiscardHandler))
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if _, more := ev.names(); more > 0 {
		log.Warn("more targets than fit into KEYPAIRD_NAMES", "hook", c.Argv[0], "left_out", more)
	}
	out, err := newOutput()
	if out.file == nil {
		return &Error{Program: c.Argv[0], Err: err}
	}
	defer out.close()
	if err != nil {
		log.Warn("output not kept", "hook", c.Argv[0], "err", err)
	}
	cmd := newCmd(c.Argv, ev.environ())
	cmd.Stdout, cmd.Stderr = out.file, out.file
	began := time.Now()
	err = runGroup(limited, cmd, out)
	stays := errors.Is(err, errStays)
	switch {
	case err == nil:
		log.Debug("ran", "hook", c.Argv[0], "args", c.Argv[1:], "took", time.Since(began).Round(time.Millisecond), "output", out.text())
		return nil
	case ctx.Err() != nil:
		err = ctx.Err()
	case limited.Err() != nil:
		err = fmt.Errorf("timed out after %s", timeout)
	}
	if stays {
		err = fmt.Errorf("%w; %w", err, errStays)
	}
	e := &Error{Program: c.Argv[0], Err: err, Output: out.text()}
	log.Debug("hook failed", "hook", c.Argv[0], "args", c.Argv[1:], "err", err, "output", e.Output)
	return e
}

// runGroup starts cmd, which has a process group of its own, and waits for it.
// If ctx ends first, the whole group is ended.
func runGroup(ctx context.Context, cmd *process.Cmd, out output) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting: %w", err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	trim := time.NewTicker(trimPeriod)
	defer trim.Stop()
	for running := true; running; {
		select {
		case err := <-done:
			return err
		case <-trim.C:
			out.trim()
		case <-ctx.Done():
			running = false
		}
	}
	cmd.EndGroup(grace)
	killTimer := time.NewTimer(killTimeout)
	defer killTimer.Stop()
	select {
	case <-done:
	case <-killTimer.C:
		return errStays
	}
	return ctx.Err() // even if it exited with 0 after the signal
}

// Output runs a program and returns what it writes to both outputs, and its exit status.
func Output(ctx context.Context, argv []string) (printed []byte, status int, err error) {
	cmd := newCmd(argv, nil).Bind(ctx)
	cmd.WaitDelay = time.Second
	printed, err = cmd.CombinedOutput()
	return printed, cmd.ExitCode(), err
}

// newCmd returns what runs argv in a process group of its own.
func newCmd(argv, env []string) *process.Cmd {
	return &process.Cmd{
		Request: process.Request{Argv: argv, Env: env, Group: true},
		Here:    func() (*exec.Cmd, error) { return Prepare(argv, env) },
	}
}

// Prepare returns the command that runs argv. Of env, it gets the variables of an [Event]
// beside PATH and LANG.
func Prepare(argv, env []string) (*exec.Cmd, error) {
	program, err := Find(argv[0])
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, argv[1:]...)
	cmd.Args[0] = argv[0]
	cmd.Dir = "/"
	cmd.Env = Event{}.environ()
	for _, variable := range env {
		name, _, _ := strings.Cut(variable, "=")
		if name, ok := strings.CutPrefix(name, prefix); ok && slices.Contains(variables, name) {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	return cmd, nil
}
