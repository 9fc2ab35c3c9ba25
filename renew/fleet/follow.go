package fleet

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/engine"
	"keypaird/renew/fleet/envelope"
	"keypaird/renew/fleet/view"
	"keypaird/renew/problem"
)

const (
	resyncEvery = 10 * time.Minute // watches have been known to hang
	minRetry    = time.Second
	maxRetry    = 30 * time.Second
)

// follow keeps the view up to date. All is read at first, after each interruption, after
// a gap, and every ten minutes.
func (f *Fleet) follow(ctx context.Context) {
	retry := minRetry
	for ctx.Err() == nil {
		err := f.resync(ctx)
		if err == nil {
			f.setErr(following, nil)
			retry = minRetry
			err = f.followChanges(ctx)
			if err == nil || !pause(ctx, minRetry/10) {
				continue
			}
			f.Log.Debug("reading all of the fleet", "err", err)
			continue
		}
		if ctx.Err() != nil {
			return
		}
		f.setErr(following, err)
		if !pause(ctx, retry/2+rand.N(retry)) {
			return
		}
		retry = min(2*retry, maxRetry)
	}
}

// Sources of an error of the engine.
const (
	following  = iota // to read
	living            // to sign in
	committing        // to write, in a term of this node
	sitting           // to take the seat, which no node has
)

// err returns why the engine cannot be used; nil: it can. f.mu is held.
func (f *Fleet) err() error { return cmp.Or(f.errs[:]...) }

// unreachable returns why this node has no part in the fleet; nil: it has. f.mu is held.
func (f *Fleet) unreachable() error { return cmp.Or(f.errs[following], f.errs[living]) }

// setErr notes whether the engine can be used.
func (f *Fleet) setErr(source int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	was := f.err()
	if source == committing && f.term == nil { // a commit of a term that has ended
		err = nil
	}
	f.errs[source] = err
	switch is := f.err(); {
	case is != nil && was == nil:
		f.errAt = f.now()
		f.Log.Warn("engine unreachable", "err", is, "remedy", problem.Remedy(is))
	case is == nil && was != nil:
		f.Log.Info("engine reachable", "after", f.now().Sub(f.errAt).Round(time.Second))
		f.errAt = time.Time{}
	default:
		return
	}
	f.all = true
	f.wake()
}

// resync reads all that is followed.
func (f *Fleet) resync(ctx context.Context) error {
	f.mu.Lock()
	f.view.Begin()
	f.stale = false
	f.mu.Unlock()
	snapshots := make([]engine.Snapshot, len(f.view.Prefixes))
	for i, prefix := range f.view.Prefixes {
		var err error
		if snapshots[i], err = engine.Read(ctx, f.Engine, prefix); err != nil {
			return err
		}
	}
	if err := f.checkID(snapshots[slices.Index(f.view.Prefixes, document.FleetKey)]); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	now, d := f.now(), view.NewDelta()
	if f.view.Synced.IsZero() {
		f.view.Synced, d.Seat = now, true
	}
	for i, prefix := range f.view.Prefixes {
		f.view.Snapshot(prefix, snapshots[i], now, &d)
	}
	f.apply(d)
	return nil
}

// Wait waits until the view of the engine is complete for the first time, or ctx ends.
func (f *Fleet) Wait(ctx context.Context) {
	f.await(ctx, func() bool { return !f.view.Synced.IsZero() })
}

// WaitSeated waits until this node sits in the seat, or ctx ends.
func (f *Fleet) WaitSeated(ctx context.Context) {
	f.await(ctx, func() bool { return f.term != nil })
}

// await waits until something is so, or ctx ends.
func (f *Fleet) await(ctx context.Context, is func() bool) {
	for ctx.Err() == nil {
		f.mu.Lock()
		next, reached := f.changed, is()
		f.mu.Unlock()
		if reached {
			return
		}
		select {
		case <-ctx.Done():
		case <-next:
		}
	}
}

// checkID reports whether the prefix is this fleet's, in a format that this node knows; if
// it is not, a term of this node ends. One that was emptied is.
func (f *Fleet) checkID(s engine.Snapshot) error {
	for _, e := range s.Entries {
		if e.Key != document.FleetKey {
			continue
		}
		_, _, err := view.Open(f.signer, e, nil, document.Parse[document.Fleet])
		if err == nil {
			continue
		}
		if _, foreign := errors.AsType[*envelope.SignatureError](err); foreign {
			err = problem.Wrap(err, "have the same prefix of the engine on all nodes, and one prefix for each fleet")
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.term != nil {
			_ = f.term.End(err.Error())
		}
		return err
	}
	return nil
}

// errFleet says that the key fleet changed, so that all must be read.
var errFleet = errors.New("the engine has another id of the fleet")

// followChanges takes changes over until it is time to read all.
func (f *Fleet) followChanges(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, resyncEvery)
	defer cancel()
	f.mu.Lock()
	after, stale := f.view.Oldest(), f.stale
	f.reread = cancel
	f.mu.Unlock()
	if stale {
		return nil
	}
	for change, err := range f.Engine.Follow(limited, f.view.Prefixes, after) {
		switch {
		case limited.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		f.mu.Lock()
		d := view.NewDelta()
		f.view.Change(change, f.now(), &d)
		f.apply(d)
		f.mu.Unlock()
		if change.Key == document.FleetKey {
			return errFleet
		}
	}
	return nil
}
