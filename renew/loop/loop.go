package loop

import (
	"context"
	"log/slog"
	"maps"
	"time"
)

// A Loop runs passes for years: over all targets at the scheduled times, and over
// each target when it has something to do. It follows the wall clock, which it reads
// every minute, so that suspend or clock changes delay a pass by at most a minute.
type Loop struct {
	// RunPass runs a pass over the targets in due, or over all if it is nil, and
	// returns when each needs the next one. Required.
	RunPass func(ctx context.Context, due map[string]bool) map[string]time.Time

	Schedule func(after time.Time) time.Time // the next pass over all targets; required
	Now      <-chan map[string]bool          // targets to process now; empty: RunPass is called for none; nil: all
	Clock    func() time.Time                // the wall clock; nil means time.Now
	Alive    func()                          // called at least every minute, for a watchdog; may be nil
	Log      *slog.Logger                    // required

	next      map[string]time.Time // by target
	scheduled time.Time
}

const (
	tick    = time.Minute   // the longest wait without reading the clock
	minJump = time.Minute   // a larger difference between wall and monotonic clock is a jump
	hung    = 6 * time.Hour // a pass that takes longer is no longer reported as alive
)

// Run returns when ctx and the last pass have ended.
func (l *Loop) Run(ctx context.Context) {
	l.next = map[string]time.Time{}
	wall, mono := l.wall(), time.Now()
	timer := time.NewTimer(tick)
	defer timer.Stop()
	all, asked := true, map[string]bool(nil)
	for ctx.Err() == nil {
		due := l.due(wall)
		if due == nil {
			due = asked
		} else {
			maps.Copy(due, asked)
		}
		if all || due != nil {
			l.pass(ctx, all, due)
			l.plan()
		}
		all, asked = l.wait(ctx, timer)
		passed, elapsed := l.wall().Sub(wall), time.Since(mono)
		wall, mono = l.wall(), time.Now()
		if by := passed - elapsed; by.Abs() >= minJump {
			l.Log.Warn("clock jumped", "by", by.Round(time.Second))
			all = true
		}
		all = all || !wall.Before(l.scheduled)
	}
}

// wait waits for the next target or request, at most one tick. It returns the targets for
// which a pass was requested, or that one was for all.
func (l *Loop) wait(ctx context.Context, timer *time.Timer) (all bool, asked map[string]bool) {
	l.alive()
	wall := l.wall()
	wait := min(tick, l.scheduled.Sub(wall))
	for _, at := range l.next {
		wait = min(wait, at.Sub(wall))
	}
	timer.Reset(wait)
	select {
	case <-ctx.Done():
	case asked = <-l.Now:
		return asked == nil, asked
	case <-timer.C:
	}
	return false, nil
}

// due returns the targets that are due; nil: none.
func (l *Loop) due(wall time.Time) map[string]bool {
	var due map[string]bool
	for name, at := range l.next {
		if !wall.Before(at) {
			if due == nil {
				due = map[string]bool{}
			}
			due[name] = true
		}
	}
	return due
}

// pass runs a pass and reports meanwhile that the process is alive.
func (l *Loop) pass(ctx context.Context, all bool, due map[string]bool) {
	if all {
		due = nil
	}
	done := make(chan map[string]time.Time, 1)
	go func() { done <- l.RunPass(ctx, due) }()
	began := time.Now()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case next := <-done:
			l.merge(all, due, next)
			return
		case <-ticker.C:
			if time.Since(began) < hung {
				l.alive()
			}
		}
	}
}

// merge adds the times that a pass returned.
func (l *Loop) merge(all bool, due map[string]bool, next map[string]time.Time) {
	if all {
		clear(l.next)
	}
	for name := range due { // without a time, a target waits for the schedule
		delete(l.next, name)
	}
	maps.Copy(l.next, next)
}

// plan sets the time of the next pass over all targets.
func (l *Loop) plan() {
	wall := l.wall()
	next := l.Schedule(wall)
	if !next.After(wall) { // never; the configuration refuses such a schedule
		next = wall.Add(24 * time.Hour)
	}
	if !wall.Before(l.scheduled) || next.Before(l.scheduled) { // else it was a pass in between
		l.scheduled = next
	}
}

func (l *Loop) alive() {
	if l.Alive != nil {
		l.Alive()
	}
}

func (l *Loop) wall() time.Time {
	if l.Clock != nil {
		return l.Clock()
	}
	return time.Now().Round(0) // without the monotonic clock, which stands still in suspend
}
