package renew

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// A Loop looks at targets for years: at all of them when the schedule says, and
// at each when it has something to do. It goes by the wall clock, which it reads
// every minute at least, so that a machine that slept, or a clock that was set,
// delays nothing for longer.
type Loop struct {
	// Look makes a pass over the targets named by due, over all if it is nil,
	// and returns when each is to be looked at again. Required.
	Look func(ctx context.Context, due map[string]bool) map[string]time.Time

	Schedule func(after time.Time) time.Time // required; when all are looked at
	Now      <-chan struct{}                 // a request to process all now; may be nil
	Clock    func() time.Time                // the wall clock; nil means time.Now
	Beat     func()                          // called every minute at least, while all is well; may be nil
	Log      *slog.Logger                    // required

	next      map[string]time.Time // by target
	scheduled time.Time
}

const (
	tick     = time.Minute   // between two looks at the clock, at most
	stepSize = time.Minute   // by which the wall clock differs from the other, to have been set
	hung     = 6 * time.Hour // no pass takes so long
)

// Run returns when ctx ends and the last pass has.
func (l *Loop) Run(ctx context.Context) {
	l.next = map[string]time.Time{}
	wall, mono := l.wall(), time.Now()
	timer := time.NewTimer(tick)
	defer timer.Stop()
	all := true
	for ctx.Err() == nil {
		if due := l.due(wall); all || len(due) > 0 {
			l.look(ctx, all, due)
			l.plan()
		}
		all = l.wait(ctx, timer)
		passed, elapsed := l.wall().Sub(wall), time.Since(mono)
		wall, mono = l.wall(), time.Now()
		if by := passed - elapsed; by.Abs() >= stepSize {
			l.Log.Warn("clock stepped, or the machine slept", "by", by.Round(time.Second))
			all = true
		}
		all = all || !wall.Before(l.scheduled)
	}
}

// wait waits for what comes first, a tick at most. It reports whether somebody
// wants all to be looked at.
func (l *Loop) wait(ctx context.Context, timer *time.Timer) bool {
	l.beat()
	wall := l.wall()
	wait := min(tick, l.scheduled.Sub(wall))
	for _, at := range l.next {
		wait = min(wait, at.Sub(wall))
	}
	timer.Reset(wait)
	select {
	case <-ctx.Done():
	case <-l.Now:
		return true
	case <-timer.C:
	}
	return false
}

// due lists the targets to look at; nil: there are none.
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

// look makes a pass and goes on beating meanwhile.
func (l *Loop) look(ctx context.Context, all bool, due map[string]bool) {
	if all {
		due = nil
	}
	var pass sync.WaitGroup
	done := make(chan struct{})
	var next map[string]time.Time
	pass.Go(func() {
		defer close(done)
		next = l.Look(ctx, due)
	})
	began := time.Now()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-done:
			l.merge(all, due, next)
			return
		case <-ticker.C:
			if time.Since(began) < hung {
				l.beat()
			}
		}
	}
}

// merge takes in what a pass says of what comes next.
func (l *Loop) merge(all bool, due map[string]bool, next map[string]time.Time) {
	if all {
		clear(l.next)
	}
	for name := range due { // what a pass does not speak of is left to the schedule
		delete(l.next, name)
	}
	for name, at := range next {
		l.next[name] = at
	}
}

// plan notes when all are looked at again.
func (l *Loop) plan() {
	wall := l.wall()
	next := l.Schedule(wall)
	if !next.After(wall) { // never; the configuration refuses such
		next = wall.Add(24 * time.Hour)
	}
	if !wall.Before(l.scheduled) || next.Before(l.scheduled) { // else a look in between
		l.scheduled = next
	}
}

func (l *Loop) beat() {
	if l.Beat != nil {
		l.Beat()
	}
}

func (l *Loop) wall() time.Time {
	if l.Clock != nil {
		return l.Clock()
	}
	return time.Now().Round(0) // without the monotonic clock, which stands still in suspend
}
