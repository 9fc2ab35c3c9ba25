package fleet

import (
	"context"
	"slices"
	"time"

	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/view"
	"keypaird/renew/fleet/wave"
)

const widenEvery = 10 * time.Second // for nodes that are away for long

// widen lets further nodes deploy releases, while this node sits in the seat.
func (f *Fleet) widen(ctx context.Context) {
	for ctx.Err() == nil {
		f.mu.Lock()
		next, t := f.changed, f.term
		f.mu.Unlock()
		began, wait := time.Now(), time.Hour
		if t != nil {
			f.restoreID(ctx, t)
			wait = f.widenAll(ctx, t)
		}
		collect := max(together, 5*time.Since(began))
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-next:
			pause(ctx, collect)
		}
		timer.Stop()
	}
}

// widenAll goes through the releases that are not for all nodes, and returns when to do it
// again if nothing changes.
func (f *Fleet) widenAll(ctx context.Context, t *Term) time.Duration {
	f.mu.Lock()
	targets := make([]string, 0, len(f.view.Widening))
	for target := range f.view.Widening {
		targets = append(targets, target)
	}
	f.mu.Unlock()
	slices.Sort(targets)
	wait := time.Hour
	for _, target := range targets {
		next, err := f.widenOne(ctx, t, target)
		if err != nil {
			f.Log.Warn("release not widened", "target", target, "err", err)
			next = widenEvery
		}
		wait = min(wait, next)
	}
	return wait
}

// widenOne decides on one release, and returns when to do it again.
func (f *Fleet) widenOne(ctx context.Context, t *Term, target string) (time.Duration, error) {
	unlock, err := f.lock(ctx, target)
	if err != nil {
		return 0, err
	}
	defer unlock()
	urgent := f.Urgent != nil && f.Urgent(target)
	f.mu.Lock()
	r := f.view.Releases[target]
	if r == nil || r.All {
		delete(f.seen, target)
		f.mu.Unlock()
		return time.Hour, nil
	}
	now, seen := f.now(), f.seen[target]
	if seen.serial != r.Serial || !seen.at.Equal(r.At) {
		seen = watched{serial: r.Serial, at: r.At}
	}
	next, verified := wave.Next(now, f.Rules, r.Release, f.progress(target, r), urgent, seen.since)
	if !verified {
		seen.since = time.Time{}
	} else if seen.since.IsZero() {
		seen.since = now
	}
	f.seen[target] = seen
	f.mu.Unlock()
	wait := widenEvery
	if verified {
		wait = min(wait, max(0, f.Rules.Bake-now.Sub(seen.since)))
	}
	if next.All == r.All && next.Wave == r.Wave && next.Held == r.Held && slices.Equal(next.Nodes, r.Nodes) {
		return wait, nil
	}
	if next.Held != "" && next.Held != r.Held {
		f.Log.Warn("release held", "target", target, "serial", r.Serial, "reason", next.Held)
	}
	return 0, f.commitRelease(ctx, t, target, next, nil)
}

// progress returns the nodes that deploy a target, and what they did with its release; nil:
// with none. f.mu is held.
func (f *Fleet) progress(target string, r *view.Release) []wave.Node {
	var nodes []wave.Node
	for _, name := range f.Audience(target) {
		n := wave.Node{Name: name, Away: f.view.Away(name, f.now())}
		if r != nil {
			n.Verified, n.Failures, n.Err = f.view.State(name, target, r)
		}
		nodes = append(nodes, n)
	}
	return nodes
}

// Progress returns the nodes that deploy a target, in their order, and what they did with
// its release.
func (f *Fleet) Progress(target string) []wave.Node {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.progress(target, f.view.Releases[target])
}

// restoreID writes the id of the fleet back into an engine that was emptied.
func (f *Fleet) restoreID(ctx context.Context, t *Term) {
	f.mu.Lock()
	missing := f.view.Fleet == nil
	f.mu.Unlock()
	if !missing {
		return
	}
	op, err := f.signer.Op(document.FleetKey, 0, document.Fleet{ID: f.ID, Format: document.Format}, nil, nil)
	if err == nil {
		err = t.Commit(ctx, op)
	}
	if err != nil {
		f.Log.Warn("id of the fleet not written", "err", err)
		return
	}
	f.Log.Info("id of the fleet written")
	f.update(func() { f.view.Fleet = op.Value })
}
