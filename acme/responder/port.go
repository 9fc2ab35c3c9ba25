package responder

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"keypaird/acme"
	"keypaird/renew/problem"
)

// A Port is the address at which the challenges of one type are answered, by the process
// that holds it for all that share the directory of responses. The fields are set before
// the first use.
type Port struct {
	Type   string // of the challenges
	Addr   string // see Listen; "" never listens: another process answers
	Usual  string // "localhost:80", where CAs connect: a peer that was passed a socket answers there
	Busy   string // remedy if another program holds the port
	Denied string // remedy if this process may not listen on it
	Log    *slog.Logger

	Sweep  func(acme.Challenge)                                           // called before listening, with the challenge that needs it
	Serve  func([]net.Listener) (io.Closer, error)                        // answers in the background until it is closed
	Answer func(ctx context.Context, addr string, c acme.Challenge) error // nil: the response at addr is ours

	mu      sync.Mutex
	started bool
	tried   time.Time // when listening in place of a peer was last tried
	ls      []net.Listener
	server  io.Closer // nil: none is needed
}

// Solve calls validate while the port answers c; the response is in the directory.
func (p *Port) Solve(ctx context.Context, c acme.Challenge, validate func(context.Context) error) error {
	err := p.start(ctx, c)
	switch {
	case err == nil:
		return validate(ctx)
	case mayBeHeld(err) && p.heldByPeer(ctx, c):
		return p.solveWithPeer(ctx, c, validate)
	}
	return err
}

// Start listens now instead of at the first challenge, unless others do by the
// configuration. It is for a daemon: other processes with the same directory rely on
// it, and no peer waits at a socket of the service manager that is not served yet.
func (p *Port) Start(ctx context.Context) error {
	if p.Addr == "" {
		return nil
	}
	return p.start(ctx, acme.Challenge{})
}

// Passed reports whether the service manager holds the socket.
func (p *Port) Passed() bool { return strings.HasPrefix(p.Addr, "fd:") }

// start sweeps and listens. A port that is in use is tried again by the next
// challenge.
func (p *Port) start(ctx context.Context, c acme.Challenge) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.started {
		return nil
	}
	var ls []net.Listener
	if p.Addr != "" {
		var err error
		if ls, err = Listen(ctx, p.Addr); err != nil {
			return p.explain(err)
		}
	}
	p.Sweep(c)
	if len(ls) > 0 {
		server, err := p.Serve(ls)
		if err != nil {
			closeAll(ls)
			return err
		}
		p.ls, p.server = ls, server
	}
	for _, l := range ls {
		p.Log.Debug("listening for "+p.Type, "addr", l.Addr().String())
	}
	p.started = true
	return nil
}

// explain adds the remedy of this port.
func (p *Port) explain(err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return problem.Wrap(err, p.Busy)
	case errors.Is(err, syscall.EACCES):
		return problem.Wrap(err, p.Denied)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return problem.Wrap(err, "this machine does not have that address: correct listen, or write a port alone: \":80\"")
	}
	return err
}

// Close stops listening and waits for the server. The next challenge listens again.
func (p *Port) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.server != nil {
		p.server.Close()
	}
	closeAll(p.ls)
	p.ls, p.server, p.started = nil, nil, false
}
