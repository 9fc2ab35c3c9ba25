package remote

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"keypaird/renew/fleet/engine"
	"keypaird/renew/fleet/wire"
	"keypaird/renew/launch"
	"keypaird/renew/launch/find"
	"keypaird/renew/problem"
	"keypaird/renew/process"
	"keypaird/renew/textfmt"
)

// Program is the child's.
const Program = "keypaird-fleet"

// Launched returns what keypaird-fleet, at path, may do.
func Launched(path string) (c launch.Child, err error) {
	c = launch.Child{Path: path, Client: true}
	for _, name := range []string{"SSL_CERT_FILE", "SSL_CERT_DIR", "TZ", "GODEBUG"} {
		if value, ok := os.LookupEnv(name); ok {
			c.Env = append(c.Env, name+"="+value)
		}
	}
	if means := launch.Means(); means != "" {
		c.Args = []string{"-confined", means}
	}
	c.User, err = launch.NetUser()
	return c, err
}

// A child is one run of keypaird-fleet.
type child struct {
	cmd    *process.Cmd
	in     *os.File
	output *textfmt.Tail // its standard error
	gone   chan struct{} // closed when it has exited
	err    error         // how; set before
	hung   sync.Once
	why    string // it was killed for

	mu    sync.Mutex
	last  uint64
	calls map[uint64]*call
	lines [][]byte
	wake  chan struct{}
}

// start starts a child. It outlives ctx, until end.
func start(ctx context.Context, path string) (*child, error) {
	if path == "" {
		found, err := find.Program(Program)
		if err != nil {
			return nil, err
		}
		path = found
	}
	c, err := Launched(path)
	if err != nil {
		return nil, err
	}
	cmd, err := launch.Command(context.WithoutCancel(ctx), c)
	if err != nil {
		return nil, err
	}
	theirIn, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirIn.Close()
	out, theirOut, err := os.Pipe()
	if err != nil {
		in.Close()
		return nil, err
	}
	defer theirOut.Close()
	k := &child{cmd: cmd, in: in, output: &textfmt.Tail{}, gone: make(chan struct{}), calls: map[uint64]*call{}, wake: make(chan struct{}, 1)}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirIn, theirOut, k.output
	cmd.WaitDelay = time.Second
	cmd.Group = true // Ctrl-C is for keypaird, which ends it
	if err := cmd.Start(); err != nil {
		in.Close()
		out.Close()
		remedy := ""
		if errors.Is(err, fs.ErrPermission) {
			remedy = "let the user that " + Program + " runs as execute keypaird, too"
		}
		return nil, problem.Newf(remedy, "starting %s: %w", Program, err)
	}
	go k.write()
	go k.receive(out)
	return k, nil
}

// end has the child end its leases, and waits until it has exited.
func (k *child) end() {
	k.mu.Lock()
	k.lines = append(k.lines, nil) // after what is to be written
	k.mu.Unlock()
	k.signal()
	timer := time.AfterFunc(endLimit, func() { k.kill("does not end") })
	defer timer.Stop()
	<-k.gone
}

func (k *child) signal() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// write writes lines until the child has exited. A nil line closes its input.
func (k *child) write() {
	defer k.in.Close()
	for {
		k.mu.Lock()
		lines := k.lines
		k.lines = nil
		k.mu.Unlock()
		for _, line := range lines {
			if line == nil {
				return
			}
			_ = k.in.SetWriteDeadline(time.Now().Add(patience))
			if _, err := k.in.Write(line); err != nil {
				if errors.Is(err, os.ErrDeadlineExceeded) {
					k.kill("does not read")
				}
				return
			}
		}
		select {
		case <-k.wake:
		case <-k.gone:
			return
		}
	}
}

// receive delivers answers until the child has exited.
func (k *child) receive(out *os.File) {
	defer out.Close()
	answers := wire.NewReader(out)
	for {
		var a wire.Answer
		_, err := answers.Next(&a)
		if err == nil {
			err = k.deliver(a)
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				k.kill("violated the protocol: " + err.Error())
			}
			break
		}
	}
	exit := k.cmd.Wait()
	k.err = k.reason(exit)
	close(k.gone)
}

// reason returns how the child failed.
func (k *child) reason(exit error) error {
	k.mu.Lock()
	why := k.why
	k.mu.Unlock()
	switch {
	case k.cmd.ExitCode() == launch.NotStarted:
		return problem.Newf("let the user that "+Program+" runs as execute that program, and search the directories above it", "%s: %s", Program, k.output)
	case why == "" && exit != nil:
		why = "exited: " + exit.Error()
	case why == "":
		why = "exited"
	}
	if text := k.output.String(); text != "" {
		why += "; its last output: " + text
	}
	return problem.Newf("install keypaird and "+Program+" of the same version; if it happens again, report it", "%s %s", Program, why)
}

// kill ends the child at once, and says why.
func (k *child) kill(why string) {
	k.hung.Do(func() {
		k.mu.Lock()
		k.why = why
		k.mu.Unlock()
		k.cmd.Signal(syscall.SIGKILL)
	})
}

// deliver passes on an answer.
func (k *child) deliver(a wire.Answer) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	c := k.calls[a.ID]
	if c == nil {
		return nil // nobody waits for it any more
	}
	if !a.More {
		delete(k.calls, a.ID)
	}
	select {
	case c.answers <- a:
		return nil
	default:
		return errors.New("more answers than were asked for")
	}
}

// A call is a request that was sent.
type call struct {
	k       *child
	id      uint64
	answers chan wire.Answer
}

// begin sends a request.
func (k *child) begin(r wire.Request) (*call, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.last++
	r.ID = k.last
	line, err := wire.Line(r)
	if err != nil {
		return nil, err
	}
	c := &call{k: k, id: r.ID, answers: make(chan wire.Answer, wire.Window+1)}
	k.calls[c.id] = c
	k.lines = append(k.lines, line)
	k.signal()
	return c, nil
}

// take lets the child send another line.
func (c *call) take() { c.send(wire.Request{ID: c.id, Take: true}) }

// cancel lets the child forget the request.
func (c *call) cancel() {
	c.k.mu.Lock()
	waiting := c.k.calls[c.id] != nil
	delete(c.k.calls, c.id)
	c.k.mu.Unlock()
	if waiting {
		c.send(wire.Request{ID: c.id, Cancel: true})
	}
}

func (c *call) send(r wire.Request) {
	line, err := wire.Line(r)
	if err != nil {
		return
	}
	c.k.mu.Lock()
	defer c.k.mu.Unlock()
	c.k.lines = append(c.k.lines, line)
	c.k.signal()
}

// next waits for an answer; limit 0: as long as that takes. A failure is an error.
func (c *call) next(ctx context.Context, limit time.Duration) (wire.Answer, error) {
	var late <-chan time.Time
	if limit > 0 {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		late = timer.C
	}
	var a wire.Answer
	select {
	case a = <-c.answers:
	case <-ctx.Done():
		return a, ctx.Err()
	case <-late:
		c.k.kill("does not answer")
		<-c.k.gone
		return a, c.k.err
	case <-c.k.gone:
		select {
		case a = <-c.answers:
		default:
			return a, c.k.err
		}
	}
	if a.Failure != nil {
		return a, failed(a.Failure)
	}
	return a, nil
}

// ask sends a request and waits for its only answer.
func (k *child) ask(ctx context.Context, r wire.Request) (wire.Answer, error) {
	c, err := k.begin(r)
	if err != nil {
		return wire.Answer{}, err
	}
	defer c.cancel()
	return c.next(ctx, patience)
}

// open sends settings, and returns what confines the child.
func (k *child) open(ctx context.Context, s wire.Settings) (means string, err error) {
	a, err := k.ask(ctx, wire.Request{Open: &s})
	return textfmt.OneLine(a.Means, maxText), err
}

// read reads a snapshot.
func (k *child) read(ctx context.Context, prefix string) (s engine.Snapshot, err error) {
	c, err := k.begin(wire.Request{Read: &wire.Read{Prefix: prefix}})
	if err != nil {
		return s, err
	}
	defer c.cancel()
	size := 0
	for {
		a, err := c.next(ctx, patience)
		if err != nil {
			return engine.Snapshot{}, err
		}
		size += minLine
		last := ""
		if n := len(s.Entries); n > 0 {
			last = s.Entries[n-1].Key
		}
		for _, e := range a.Entries {
			if !strings.HasPrefix(e.Key, prefix) || len(s.Entries) > 0 && e.Key <= last {
				k.kill("violated the protocol: entries of " + prefix + " that were not asked for")
				<-k.gone
				return engine.Snapshot{}, k.err
			}
			last = e.Key
			s.Entries = append(s.Entries, e)
			size += len(e.Key) + len(e.Value)
		}
		s.Revision = a.Revision
		switch {
		case size > maxRead:
			return engine.Snapshot{}, problem.Newf("list the keys: etcdctl get --prefix --keys-only", "the engine has more than %d MiB below %s", maxRead>>20, prefix)
		case !a.More:
			return s, nil
		}
		c.take()
	}
}

// Bounds of a snapshot: ten thousand targets with their pairs have 100 MiB.
const (
	maxRead = 256 << 20
	minLine = 1 << 10 // that a line counts at least
)
