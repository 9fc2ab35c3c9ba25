package fleet

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// Run takes part in the fleet until ctx ends. It returns when the leases are given back,
// so that others need not wait for them to end.
func (f *Fleet) Run(ctx context.Context) error {
	loops := []func(context.Context){f.follow, f.callChanged}
	if !f.Observer {
		loops = append(loops, f.stayAlive, f.writeReports)
	}
	if f.orders() && !f.Observer {
		loops = append(loops, f.takeSeat, f.watchSeat, f.widen, f.resealAll)
	}
	var running sync.WaitGroup
	for _, loop := range loops {
		running.Go(func() { loop(ctx) })
	}
	running.Wait()
	return ctx.Err()
}

// Reconfigured notes that the configuration of targets has changed while Run runs: what
// Audience and Urgent return, and the sums of an orderer's targets.
func (f *Fleet) Reconfigured(targets map[string]string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.Targets, f.all = targets, true
	f.reloads++
	clear(f.unreleased)
	f.readAll()
	f.wake()
}

// together is how long changes are collected for one call of Changed.
const together = 100 * time.Millisecond

// callChanged calls Changed, for many changes once.
func (f *Fleet) callChanged(ctx context.Context) {
	for ctx.Err() == nil {
		f.mu.Lock()
		next, some := f.changed, f.all || len(f.pending) > 0
		f.mu.Unlock()
		if !some {
			select {
			case <-ctx.Done():
			case <-next:
			}
			continue
		}
		if !pause(ctx, together) {
			return
		}
		f.mu.Lock()
		targets, all := slices.Sorted(maps.Keys(f.pending)), f.all
		f.pending, f.all = nil, false
		f.mu.Unlock()
		switch {
		case f.Changed == nil:
		case all:
			f.Changed(nil)
		default:
			f.Changed(targets)
		}
	}
}
