package process

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"

	"keypaird/renew/rights"
)

// A Request says which program to start: a command of the configuration, or a child.
type Request struct {
	Argv  []string        `json:",omitempty"` // of a command
	Env   []string        `json:",omitempty"` // of a command
	Child json.RawMessage `json:",omitempty"` // a launch.Child in JSON
	Group bool            `json:",omitempty"` // the program leads a process group of its own
	Kept  int             `json:"-"`          // descriptors from 3 on; set by the runner

	// What starts nothing.
	Notify string `json:",omitempty"` // a text for the service manager
	Ready  bool   `json:",omitempty"` // the caller handles signals
}

// A Cmd is a program to start. Its fields are set before Start.
type Cmd struct {
	Request
	Here  func() (*exec.Cmd, error) // makes the command if there is no runner
	Files []*os.File                // descriptors from 3 on

	Stdin          *os.File  // nil: the null device
	Stdout, Stderr io.Writer // nil: the null device. They may be the same
	// WaitDelay bounds how long Wait waits, after the end of the process, for others
	// that have its output; zero: as long as that takes.
	WaitDelay time.Duration

	ctx      context.Context // ends the program
	unwatch  func() bool
	running  running
	exitCode int
	pipes    []*os.File // that are copied to Stdout and Stderr
	copying  sync.WaitGroup
}

// running is a started process.
type running interface {
	pid() int
	wait() (syscall.WaitStatus, error)
	signal(sig syscall.Signal)
	endGroup(grace time.Duration) // SIGTERM to the group, and SIGKILL after grace if it still has a process
}

// Bind has the program killed when ctx ends, and returns c.
func (c *Cmd) Bind(ctx context.Context) *Cmd {
	c.ctx = ctx
	return c
}

// Start starts the program. The error is a syscall.Errno if it cannot be executed.
func (c *Cmd) Start() error {
	c.exitCode = -1
	if c.ctx != nil && c.ctx.Err() != nil {
		return c.ctx.Err()
	}
	files, ours, err := c.descriptors()
	defer closeAll(ours)
	if err == nil {
		c.running, err = c.begin(files)
	}
	if err != nil {
		closeAll(c.pipes)
		return err
	}
	for i, w := range c.copied() {
		c.copying.Go(func() { _, _ = io.Copy(w, c.pipes[i]) })
	}
	if c.ctx != nil {
		c.unwatch = context.AfterFunc(c.ctx, func() { c.Signal(syscall.SIGKILL) })
	}
	return nil
}

// begin starts the program with files as its descriptors.
func (c *Cmd) begin(files []*os.File) (running, error) {
	if err := rights.Drop(); err != nil {
		return nil, err
	}
	if r := runner.Load(); r != nil {
		return r.start(c.Request, files)
	}
	cmd, err := c.Here()
	if err != nil {
		return nil, err
	}
	return startLocal(cmd, files, c.Group, c.Child != nil)
}

// copied lists the writers that are no files, each once.
func (c *Cmd) copied() (list []io.Writer) {
	for _, w := range []io.Writer{c.Stdout, c.Stderr} {
		if _, isFile := w.(*os.File); w != nil && !isFile && !slices.Contains(list, w) {
			list = append(list, w)
		}
	}
	return list
}

// descriptors returns those of the program, and which of them are to be closed here.
func (c *Cmd) descriptors() (files, ours []*os.File, err error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, nil, err
	}
	ours = append(ours, null)
	ends := map[io.Writer]*os.File{}
	for _, w := range c.copied() {
		r, end, err := os.Pipe()
		if err != nil {
			return nil, ours, err
		}
		c.pipes, ours, ends[w] = append(c.pipes, r), append(ours, end), end
	}
	files = []*os.File{null, null, null}
	if c.Stdin != nil {
		files[0] = c.Stdin
	}
	for i, w := range []io.Writer{c.Stdout, c.Stderr} {
		if f, isFile := w.(*os.File); isFile {
			files[i+1] = f
		} else if w != nil {
			files[i+1] = ends[w]
		}
	}
	return append(files, c.Files...), ours, nil
}

// Wait returns when the program has ended and its output is copied. There is an error if
// the program failed, see also ExitCode.
func (c *Cmd) Wait() error {
	status, err := c.running.wait()
	if c.unwatch != nil {
		c.unwatch()
	}
	if err == nil {
		c.exitCode = status.ExitStatus()
	}
	if err == nil && status != 0 {
		err = exitError(status)
	}
	if late := c.finishCopying(); err == nil {
		err = late
	}
	return err
}

// finishCopying waits for the end of the output.
func (c *Cmd) finishCopying() error {
	defer closeAll(c.pipes)
	copied := make(chan struct{})
	go func() { defer close(copied); c.copying.Wait() }()
	var late <-chan time.Time
	if c.WaitDelay > 0 {
		timer := time.NewTimer(c.WaitDelay)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-copied:
		return nil
	case <-late:
		closeAll(c.pipes)
		<-copied
		return exec.ErrWaitDelay
	}
}

// Run starts the program and waits for it.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Output runs the program and returns its standard output.
func (c *Cmd) Output() ([]byte, error) {
	var out bytes.Buffer
	c.Stdout = &out
	err := c.Run()
	return out.Bytes(), err
}

// CombinedOutput runs the program and returns what it writes.
func (c *Cmd) CombinedOutput() ([]byte, error) {
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	return out.Bytes(), err
}

// Pid returns the number of the process.
func (c *Cmd) Pid() int { return c.running.pid() }

// Signal signals the process, its group if it leads one, and, with SIGKILL, the processes
// that a child has started and that have left the group.
func (c *Cmd) Signal(sig syscall.Signal) { c.running.signal(sig) }

// EndGroup sends SIGTERM to the process group, and SIGKILL after grace if it still has
// processes. It is called while Wait runs: a process that was not waited for is still in
// its group.
func (c *Cmd) EndGroup(grace time.Duration) { c.running.endGroup(grace) }

// ExitCode returns the exit status of the program, or -1 if it ended by a signal or has
// not ended.
func (c *Cmd) ExitCode() int { return c.exitCode }

// exitError describes a status other than zero, as package exec does.
func exitError(s syscall.WaitStatus) error {
	switch {
	case !s.Signaled():
		return fmt.Errorf("exit status %d", s.ExitStatus())
	case s.CoreDump():
		return fmt.Errorf("signal: %v (core dumped)", s.Signal())
	default:
		return fmt.Errorf("signal: %v", s.Signal())
	}
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
