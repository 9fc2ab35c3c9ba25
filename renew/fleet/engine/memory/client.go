package memory

import (
	"context"
	"iter"
	"slices"
	"sync"
	"time"

	"keypaird/renew/fleet/engine"
)

// A Client is one node's engine.
type Client struct {
	server *Server
	name   string
	// Guarded by server.mu.
	faults Faults
	killed bool
	leases []*lease
}

// Client returns an engine that shares the server's entries; name is that of its calls.
func (s *Server) Client(name string) *Client { return &Client{server: s, name: name} }

// Commit implements engine.Engine.
func (c *Client) Commit(ctx context.Context, conditions []engine.Condition, do []engine.Op) (engine.Revision, error) {
	var revision engine.Revision
	err := c.do(ctx, Call{Method: "Commit", Conditions: conditions, Ops: do}, func() (err error) {
		revision, err = c.server.commit(conditions, do)
		return err
	})
	if err != nil {
		return 0, err
	}
	return revision, nil
}

// Read implements engine.Engine.
func (c *Client) Read(ctx context.Context, prefix string) (engine.Snapshot, error) {
	var snapshot engine.Snapshot
	err := c.do(ctx, Call{Method: "Read", Prefix: prefix}, func() error {
		snapshot = c.server.read(prefix)
		return nil
	})
	if err != nil {
		return engine.Snapshot{}, err
	}
	return snapshot, nil
}

// Follow implements engine.Engine.
func (c *Client) Follow(ctx context.Context, prefixes []string, after engine.Revision) iter.Seq2[engine.Change, error] {
	return func(yield func(engine.Change, error) bool) {
		var history int
		err := c.do(ctx, Call{Method: "Follow"}, func() error {
			history = c.server.history
			return c.server.gap(after)
		})
		for err == nil {
			var changes []engine.Change
			changes, after, err = c.next(ctx, prefixes, after, history)
			for _, change := range changes {
				if !yield(change, nil) {
					return
				}
			}
		}
		yield(engine.Change{}, err)
	}
}

// next waits for changes after a revision, and returns up to which it looked.
func (c *Client) next(ctx context.Context, prefixes []string, after engine.Revision, history int) ([]engine.Change, engine.Revision, error) {
	s := c.server
	for {
		s.mu.Lock()
		f, changed, newest := c.faultsNow(), s.changed, s.state.revision
		var changes []engine.Change
		var err error
		switch {
		case f.Unreachable:
			err = ErrUnreachable
		case f.Hang:
		case s.history != history:
			err = engine.ErrGap
		default:
			if err = s.gap(after); err == nil {
				changes, after = s.since(prefixes, after), newest
			}
		}
		s.mu.Unlock()
		if err != nil || len(changes) > 0 {
			return changes, after, err
		}
		select {
		case <-ctx.Done():
			return nil, after, ctx.Err()
		case <-changed:
		}
	}
}

// gap returns ErrGap unless all changes after a revision are known. s.mu is held.
func (s *Server) gap(after engine.Revision) error {
	if after < s.state.compacted || after > s.state.revision {
		return engine.ErrGap
	}
	return nil
}

// Lease implements engine.Engine.
func (c *Client) Lease(ctx context.Context, ttl time.Duration) (engine.Lease, error) {
	l := &lease{client: c, ttl: ttl, renewed: time.Now(), lost: make(chan struct{})}
	err := c.do(ctx, Call{Method: "Lease"}, func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.id = c.server.lease(ttl)
		l.end = time.AfterFunc(time.Until(l.renewed.Add(ttl)), l.lose)
		l.next = time.AfterFunc(ttl/3, l.renew)
		c.leases = append(c.leases, l)
		return nil
	})
	if err != nil {
		l.lose() // it was made, if only its answer is lost
		return nil, err
	}
	return l, nil
}

// A lease is renewed by timers, not by a goroutine.
type lease struct {
	client *Client
	id     engine.LeaseID
	ttl    time.Duration

	mu      sync.Mutex
	renewed time.Time
	lost    chan struct{}
	end     *time.Timer // loses the lease
	next    *time.Timer // renews it
	over    bool
}

func (l *lease) ID() engine.LeaseID    { return l.id }
func (l *lease) Lost() <-chan struct{} { return l.lost }

func (l *lease) Renewed() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.renewed
}

// lose closes Lost, and renews no more.
func (l *lease) lose() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return
	}
	l.over = true
	if l.end != nil {
		l.end.Stop()
		l.next.Stop()
	}
	close(l.lost)
}

// renew sends a request to renew the lease, and plans the next.
func (l *lease) renew() {
	c, sent := l.client, time.Now()
	c.server.mu.Lock()
	f := c.faultsNow()
	c.server.mu.Unlock()
	switch {
	case f.Hang && !f.Unreachable:
	case f.Delay > 0:
		time.AfterFunc(f.Delay, func() { l.confirm(sent) })
	default: // a timer that is over at once ends Go's run time, if started by another under the race detector
		go l.confirm(sent)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.over {
		l.next.Reset(l.ttl / 3)
	}
}

// confirm lets the server renew the lease, by a request that was sent before.
func (l *lease) confirm(sent time.Time) {
	c := l.client
	c.server.mu.Lock()
	err := c.serve(Call{Method: "Renew"}, func() error { return c.server.renew(l.id) })
	c.server.mu.Unlock()
	switch err {
	case errLease:
		l.lose()
	case nil:
		l.mu.Lock()
		defer l.mu.Unlock()
		if !l.over && sent.After(l.renewed) {
			l.renewed = sent
			l.end.Reset(time.Until(sent.Add(l.ttl)))
		}
	}
}

// End implements engine.Lease.
func (l *lease) End(ctx context.Context) error {
	l.lose()
	return l.client.do(ctx, Call{Method: "End"}, func() error {
		l.client.leases = slices.DeleteFunc(l.client.leases, func(o *lease) bool { return o == l })
		l.client.server.endLease(l.id)
		return nil
	})
}
