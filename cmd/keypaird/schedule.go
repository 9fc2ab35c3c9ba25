package main

import (
	"sync"
	"time"

	"github.com/robfig/cron/v3"
)

// maxSpread is by how much at most a look comes after what a cron line says, so
// that machines of one configuration do not ask a CA at the same instant.
const maxSpread = 30 * time.Second

// A timetable is what schedule says.
type timetable struct {
	times  cron.Schedule
	spread time.Duration // added to each time of a cron line
}

// newTimetable makes a timetable of a schedule that has been checked.
func newTimetable(spec string, spread time.Duration) (timetable, error) {
	times, err := parseCron(spec)
	if _, interval := times.(cron.ConstantDelaySchedule); interval {
		spread = 0
	}
	return timetable{times, spread}, err
}

// next is the first time after one; zero if there is none.
func (t timetable) next(after time.Time) time.Time {
	at := t.times.Next(after.Add(-t.spread))
	if at.IsZero() {
		return at
	}
	return at.Add(t.spread)
}

// An opening is what window says: the minutes in which deployments may begin.
type opening struct {
	times cron.Schedule

	mu   sync.Mutex // of what was answered last: a pass asks for every target
	at   time.Time
	next time.Time
}

// newOpening makes an opening of a window that has been checked; nil if any
// minute will do.
func newOpening(spec string) (*opening, error) {
	if spec == "" {
		return nil, nil
	}
	times, err := parseCron(spec)
	return &opening{times: times}, err
}

// opens is when deployments may begin; zero: now.
func (o *opening) opens(now time.Time) time.Time {
	minute := now.Truncate(time.Minute)
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.at.Equal(minute) {
		o.at, o.next = minute, o.times.Next(minute.Add(-time.Second))
	}
	if o.next.After(now) {
		return o.next
	}
	return time.Time{} // never, which the configuration refuses, is as good as always
}
