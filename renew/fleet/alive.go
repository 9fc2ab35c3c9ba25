package fleet

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"time"

	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/engine"
	"keypaird/renew/fleet/view"
	"keypaird/renew/problem"
)

const (
	aliveTTL   = time.Minute
	cloneAfter = 75 * time.Second // a value of the process before is gone by then
)

// errClone says that another machine is alive by this node's name.
var errClone = problem.New("another machine has the name of this node",
	"give each machine a name of its own: node in [fleet]; where the state directory was copied, remove fleet/node.key in the copy, and run keypaird fleet key there")

// stayAlive keeps this node signed in as alive. A machine with the same name stays out
// until that one is gone. When this process begins, the one before it has ended, if that
// had the same Machine: its place is taken at once.
func (f *Fleet) stayAlive(ctx context.Context) {
	var since time.Time // when another was seen by this name
	mine := func(there engine.Entry) bool { return f.wroteAlive(there, f.Machine) }
	retry := minRetry
	for ctx.Err() == nil {
		lease, err := f.signIn(ctx, mine)
		if err == nil {
			since, mine = time.Time{}, f.isMine
			f.setErr(living, nil)
			f.update(func() { f.present, f.clone = true, "" })
			f.Log.Debug("signed in", "node", f.Node)
			began := time.Now()
			f.attend(ctx, lease)
			f.update(func() { f.present = false })
			if time.Since(began) < minRetry { // what this node wrote was refused or removed at once
				pause(ctx, retry)
				retry = min(2*retry, maxRetry)
			} else {
				retry = minRetry
			}
			continue
		}
		switch {
		case ctx.Err() != nil:
			return
		case !errors.Is(err, errClone):
			since = time.Time{}
			f.setErr(living, err)
		case since.IsZero():
			since = time.Now()
			f.setErr(living, nil)
		case time.Since(since) > cloneAfter:
			f.reportClone()
		}
		f.pauseUntilGone(ctx, retry)
		retry = min(2*retry, maxRetry)
	}
}

// pauseUntilGone waits, at most until nobody is alive by this node's name any more.
func (f *Fleet) pauseUntilGone(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		f.mu.Lock()
		next, gone := f.changed, f.view.Gone(f.Node)
		f.mu.Unlock()
		if gone {
			next = nil
		}
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			return
		case <-next:
			f.mu.Lock()
			now := f.view.Gone(f.Node)
			f.mu.Unlock()
			if now && !gone {
				return
			}
		}
	}
}

// reportClone notes that another machine has this node's name.
func (f *Fleet) reportClone() {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.view.Nodes[f.Node]
	if n == nil || n.Alive == nil || n.Alive.Boot == f.clone || n.Alive.Boot == f.Boot {
		return
	}
	f.clone = n.Alive.Boot
	f.Log.Error("this node stays out of the fleet", "err", errClone, "node", f.Node, "boot", f.clone, "remedy", problem.Remedy(errClone))
	f.wake()
}

// signIn sets the key that says that this node is alive. It replaces an entry only if mine
// accepts that.
func (f *Fleet) signIn(ctx context.Context, mine func(there engine.Entry) bool) (engine.Lease, error) {
	if err := document.CheckTime(f.now()); err != nil {
		return nil, problem.Newf("set the clock of this machine", "the clock of this machine is wrong: %w", err)
	}
	there, err := engine.ReadKey(ctx, f.Engine, document.AliveKey(f.Node))
	if err != nil {
		return nil, err
	}
	if there.Value != nil && !mine(there) {
		return nil, errClone
	}
	lease, err := f.lease(ctx, aliveTTL)
	if err != nil {
		return nil, err
	}
	if err := f.writeAlive(ctx, lease, mine); err != nil {
		f.endLease(ctx, lease)
		return nil, err
	}
	return lease, nil
}

// writeAlive writes that this node is alive, under a lease.
func (f *Fleet) writeAlive(ctx context.Context, lease engine.Lease, mine func(there engine.Entry) bool) error {
	f.mu.Lock()
	alive := document.Alive{Boot: f.Boot, Machine: f.Machine, Version: f.Version, Clock: f.now().UTC(), Targets: f.Targets}
	f.mu.Unlock()
	op, err := f.signer.Op(document.AliveKey(f.Node), 0, alive, nil, nil)
	if err != nil {
		return err
	}
	op.Lease = lease.ID()
	return f.setOwn(ctx, op, mine)
}

// isMine reports whether this process wrote the entry that says that this node is alive, or
// no node of its fleet did.
func (f *Fleet) isMine(there engine.Entry) bool { return f.wroteAlive(there, "") }

// wroteAlive is isMine, and also accepts an entry that another process on a machine wrote;
// "": on none.
func (f *Fleet) wroteAlive(there engine.Entry, machine string) bool {
	old, _, err := view.Open(f.signer, there, []string{f.Node}, document.Parse[document.Alive])
	return err != nil || old.Boot == f.Boot || machine != "" && old.Machine == machine
}

// setOwn sets a key that only this node writes. What is there may be replaced if mine
// says so: else the error is errClone.
func (f *Fleet) setOwn(ctx context.Context, op engine.Op, mine func(there engine.Entry) bool) error {
	there, err := engine.ReadKey(ctx, f.Engine, op.Key)
	for range 4 {
		switch {
		case err != nil:
			return err
		case bytes.Equal(there.Value, op.Value): // a commit did happen, its answer was lost
			f.wrote(there.Revision, op)
			return nil
		case there.Value != nil && !mine(there):
			return errClone
		}
		limited, cancel := context.WithTimeout(ctx, engine.Timeout)
		revision, failed := f.Engine.Commit(limited, []engine.Condition{{Key: op.Key, Value: there.Value}}, []engine.Op{op})
		cancel()
		if failed == nil {
			f.wrote(revision, op)
			return nil
		}
		there, err = engine.ReadKey(ctx, f.Engine, op.Key)
		if _, ok := errors.AsType[*engine.ConditionError](failed); !ok && err == nil && !bytes.Equal(there.Value, op.Value) {
			return failed
		}
	}
	return errClone
}

// attend returns when this node is no longer signed in. Until then it rewrites the entry of
// this node when the configuration changes; while the engine does not do that, the one
// before stays: an engine without space takes no other in its place.
func (f *Fleet) attend(ctx context.Context, lease engine.Lease) {
	defer f.endLease(ctx, lease)
	for {
		f.mu.Lock()
		next := f.changed
		n := f.view.Nodes[f.Node]
		gone := n == nil || n.Alive == nil || n.Alive.Boot != f.Boot
		old := !gone && !maps.Equal(n.Alive.Targets, f.Targets)
		f.mu.Unlock()
		if gone {
			return
		}
		var err error
		var again <-chan time.Time
		if old {
			if err = f.writeAlive(ctx, lease, f.isMine); errors.Is(err, errClone) {
				return
			}
		}
		if ctx.Err() == nil {
			f.setErr(living, err)
		}
		if err != nil {
			again = time.After(maxRetry)
		}
		select {
		case <-ctx.Done():
			return
		case <-lease.Lost():
			return
		case <-again:
		case <-next:
		}
	}
}

// lease returns a lease.
func (f *Fleet) lease(ctx context.Context, ttl time.Duration) (engine.Lease, error) {
	ctx, cancel := context.WithTimeout(ctx, engine.Timeout)
	defer cancel()
	return f.Engine.Lease(ctx, ttl)
}

// endLease gives a lease back, also while the process ends.
func (f *Fleet) endLease(ctx context.Context, lease engine.Lease) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), engine.Timeout/2)
	defer cancel()
	if err := lease.End(ctx); err != nil {
		f.Log.Debug("lease not ended", "err", err)
	}
}
