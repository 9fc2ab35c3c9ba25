package remote

import (
	"context"
	"errors"
	"sync"
	"time"

	"keypaird/renew/fleet/engine"
	"keypaird/renew/fleet/wire"
)

var errLease = errors.New("the lease has ended")

// A lease is renewed by this process, not by keypaird-fleet: a keypaird that was stopped
// loses it.
type lease struct {
	engine *Engine
	child  *child
	id     engine.LeaseID
	ttl    time.Duration
	stop   context.CancelFunc
	lost   chan struct{}

	mu      sync.Mutex
	renewed time.Time
	over    bool
}

// Lease implements engine.Engine.
func (e *Engine) Lease(ctx context.Context, ttl time.Duration) (engine.Lease, error) {
	sent := time.Now()
	a, k, err := e.ask(ctx, wire.Request{Lease: &wire.Lease{TTL: ttl}})
	if err != nil {
		return nil, err
	}
	l := &lease{engine: e, child: k, id: a.Lease, ttl: ttl, lost: make(chan struct{}), renewed: sent}
	keeping, stop := context.WithCancel(context.WithoutCancel(ctx))
	l.stop = stop
	e.leases.Go(func() { l.keep(keeping) })
	return l, nil
}

func (l *lease) ID() engine.LeaseID    { return l.id }
func (l *lease) Lost() <-chan struct{} { return l.lost }

func (l *lease) Renewed() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.renewed
}

// lose closes Lost.
func (l *lease) lose() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.over {
		l.over = true
		close(l.lost)
	}
}

// keep renews the lease until it has ended, or could have.
func (l *lease) keep(ctx context.Context) {
	defer l.stop()
	defer l.lose()
	for wait := l.ttl / 3; ; {
		end := time.NewTimer(time.Until(l.Renewed().Add(l.ttl)))
		next := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-l.child.gone:
		case <-end.C:
		case <-next.C:
		}
		ended := !time.Now().Before(l.Renewed().Add(l.ttl))
		end.Stop()
		next.Stop()
		select {
		case <-l.child.gone:
			return
		default:
		}
		if ended || ctx.Err() != nil {
			return
		}
		switch err := l.renew(ctx); {
		case err == nil:
			wait = l.ttl / 3
		case errors.Is(err, errLease):
			return
		default:
			wait = l.ttl / 10
		}
	}
}

// renew renews the lease once.
func (l *lease) renew(ctx context.Context) error {
	sent := time.Now()
	ctx, cancel := context.WithDeadline(ctx, l.Renewed().Add(l.ttl))
	defer cancel()
	if _, err := l.child.ask(ctx, wire.Request{Renew: l.id}); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.renewed = sent
	return nil
}

// End implements engine.Lease.
func (l *lease) End(ctx context.Context) error {
	l.stop()
	l.lose()
	select {
	case <-l.child.gone: // it has ended its leases, or they end by themselves
		return l.child.err
	default:
	}
	_, err := l.child.ask(ctx, wire.Request{End: l.id})
	return err
}
