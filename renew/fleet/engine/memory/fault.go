package memory

import (
	"context"
	"slices"
	"time"

	"keypaird/renew/fleet/engine"
)

// Faults are those of a server, or of the way between it and one client. The zero value
// has none.
type Faults struct {
	Unreachable bool          // requests fail at once, and so do those who follow
	Hang        bool          // no request is answered before its context ends; those who follow hear nothing
	ReadOnly    bool          // no values and new leases; all else goes on, as with etcd without space
	Delay       time.Duration // of each request
	Late        time.Duration // commits fail, and happen this much later
	Fail        func(Call) error
}

// A Call is a request of a client. Fail is called before it is done, and again with Done
// after it was; what it returns is the caller's error. It may not call the server.
type Call struct {
	Client     string
	Method     string // Commit, Read, Follow, Lease, Renew, End
	Done       bool
	Prefix     string             // of Read
	Conditions []engine.Condition // of Commit
	Ops        []engine.Op        // of Commit
}

// LoseAnswers returns a Fail that loses the answers of the next n commits, which happen.
func LoseAnswers(n int) func(Call) error {
	return func(c Call) error {
		if c.Method != "Commit" || !c.Done || n == 0 {
			return nil
		}
		n--
		return ErrUnreachable
	}
}

// Set replaces the faults of the server, which all clients share.
func (s *Server) Set(f Faults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = f
	s.wake()
}

// Set replaces the faults between the client and the server.
func (c *Client) Set(f Faults) {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	c.faults = f
	c.server.wake()
}

// Kill ends the client, as if its process were killed: its leases are no longer renewed,
// and last until their time is over.
func (c *Client) Kill() {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	c.killed = true
	for _, l := range c.leases {
		l.lose()
	}
	c.leases = nil
	c.server.wake()
}

// faultsNow returns those of the server and the client together. server.mu is held.
func (c *Client) faultsNow() Faults {
	f, s := c.faults, c.server.faults
	f.Unreachable = f.Unreachable || s.Unreachable || c.killed
	f.Hang = f.Hang || s.Hang
	f.ReadOnly = f.ReadOnly || s.ReadOnly
	f.Delay += s.Delay
	f.Late = max(f.Late, s.Late)
	mine, all := f.Fail, s.Fail
	f.Fail = func(call Call) error {
		for _, fail := range []func(Call) error{mine, all} {
			if fail == nil {
				continue
			}
			if err := fail(call); err != nil {
				return err
			}
		}
		return nil
	}
	return f
}

// do performs a request under the lock of the server, with the faults of the moment.
func (c *Client) do(ctx context.Context, call Call, request func() error) error {
	if err := c.travel(ctx); err != nil {
		return err
	}
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	return c.serve(call, request)
}

// serve performs a request that has reached the server. server.mu is held.
func (c *Client) serve(call Call, request func() error) error {
	call.Client = c.name
	f := c.faultsNow()
	writes := call.Method == "Lease" || slices.ContainsFunc(call.Ops, func(op engine.Op) bool { return op.Value != nil })
	switch {
	case f.Unreachable:
		return ErrUnreachable
	case f.ReadOnly && writes:
		return ErrReadOnly
	}
	if err := f.Fail(call); err != nil {
		return err
	}
	if f.Late > 0 && call.Method == "Commit" {
		time.AfterFunc(f.Late, func() {
			c.server.mu.Lock()
			defer c.server.mu.Unlock()
			_ = request()
		})
		return ErrUnreachable
	}
	err := request()
	call.Done = true
	if lost := f.Fail(call); lost != nil {
		return lost
	}
	return err
}

// travel waits as long as a request takes to the server.
func (c *Client) travel(ctx context.Context) error {
	c.server.mu.Lock()
	delay := c.faultsNow().Delay
	c.server.mu.Unlock()
	if delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
	}
	for {
		c.server.mu.Lock()
		f, changed := c.faultsNow(), c.server.changed
		c.server.mu.Unlock()
		if !f.Hang || f.Unreachable {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}
