package listener

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"keypaird/renew/launch"
	"keypaird/renew/problem"
	"keypaird/renew/process"
	"keypaird/renew/textfmt"
)

// A child is one run of the listener.
type child struct {
	cmd     *process.Cmd
	control *net.UnixConn
	began   time.Time
	exited  chan struct{} // closed when it has, and the rest is set

	lived   time.Duration
	said    string // to stderr
	waitErr error
}

// confined returns what a listener is started as. It has nothing but a channel.
func confined(control *os.File) (launch.Child, error) {
	user, err := launch.NetUser()
	return launch.Child{
		Name: "keypaird", Args: []string{Command}, User: user, Server: true, Files: []*os.File{control}, MaxFiles: maxFiles,
		Keep: launch.Keep{Bare: true},
	}, err
}

// launchChild starts a listener.
func launchChild() (*child, error) {
	ours, theirs, err := process.SocketPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	r, w, err := os.Pipe()
	if err != nil {
		ours.Close()
		return nil, err
	}
	defer w.Close()
	var cmd *process.Cmd
	spec, err := confined(theirs)
	if err == nil {
		cmd, err = launch.Command(context.Background(), spec) // it ends by itself
	}
	if err == nil {
		cmd.Stderr = w
		err = cmd.Start()
	}
	if err != nil {
		ours.Close()
		r.Close()
		return nil, notStarted(err)
	}
	c := &child{cmd: cmd, control: ours, began: time.Now(), exited: make(chan struct{})}
	go c.wait(r)
	return c, nil
}

// wait waits for the end of the child.
func (c *child) wait(stderr *os.File) {
	said, _ := io.ReadAll(io.LimitReader(stderr, maxStderr))
	stderr.Close() // it may say no more
	c.said = strings.TrimSpace(string(said))
	c.waitErr = c.cmd.Wait()
	c.lived = time.Since(c.began)
	c.control.Close()
	close(c.exited)
}

func (c *child) hasExited() bool {
	select {
	case <-c.exited:
		return true
	default:
		return false
	}
}

// err returns how the child has exited.
func (c *child) err() error {
	if c.said == "" {
		return cmp.Or(c.waitErr, errors.New("exit status 0"))
	}
	return errors.New(textfmt.OneLine(c.said, 300))
}

// serve passes a service on.
func (c *child) serve(v *service) error {
	channel, theirs, err := process.SocketPair()
	if err != nil {
		return err
	}
	defer theirs.Close()
	err = pass(c.control, theirs, v.sockets)
	if err == nil {
		_ = channel.SetWriteDeadline(time.Now().Add(startTimeout))
		err = writeFrame(channel, v.text)
	}
	if err == nil {
		_ = c.control.SetReadDeadline(time.Now().Add(startTimeout))
		_, err = c.control.Read(make([]byte, 1))
	}
	if err != nil {
		channel.Close()
		c.kill() // it may hang
		return notStarted(c.err())
	}
	v.channel, v.gone = channel, make(chan struct{})
	go v.converse(channel, v.gone)
	return nil
}

// end has the child end, which has nothing to finish. It does so by itself: to kill it
// takes its runner, and longer.
func (c *child) end() {
	c.control.Close()
	select {
	case <-c.exited:
	case <-time.After(endTimeout):
		c.kill()
	}
}

func (c *child) kill() {
	c.cmd.Signal(syscall.SIGKILL)
	<-c.exited
}

// notStarted returns the error for a listener that cannot be started.
func notStarted(err error) error {
	remedy := cmp.Or(problem.Remedy(err), "report it as a bug of keypaird: the process that serves port 80 and the status page does not start")
	switch {
	case errors.Is(err, launch.ErrNoUser):
		remedy = "make the user, as the message says"
	case errors.Is(err, fs.ErrPermission):
		remedy = "let every user run the program keypaird: chmod 755, and the directories above it"
	}
	return problem.Wrap(fmt.Errorf("starting the listener: %w", err), remedy)
}
