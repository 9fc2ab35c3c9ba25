package config

import (
	"sync"
	"time"

	"github.com/robfig/cron/v3"
)

// MaxSpread is by how much at most a look comes after what a cron line says, so
// that machines of one configuration do not ask a CA at the same instant.
const MaxSpread = 30 * time.Second

// A Schedule is what schedule says.
type Schedule struct {
	times  cron.Schedule
	spread time.Duration // added to each time of a cron line
}

// NewSchedule makes a Schedule of a schedule that has been checked.
func NewSchedule(spec string, spread time.Duration) (Schedule, error) {
	times, err := parseCron(spec)
	if _, interval := times.(cron.ConstantDelaySchedule); interval {
		spread = 0
	}
	return Schedule{times, spread}, err
}

// Next is the first time after one; zero if there is none.
func (t Schedule) Next(after time.Time) time.Time {
	at := t.times.Next(after.Add(-t.spread))
	if at.IsZero() {
		return at
	}
	return at.Add(t.spread)
}

// A DeployWindow is what window says: the minutes in which deployments may begin.
type DeployWindow struct {
	times cron.Schedule

	mu   sync.Mutex // of what was answered last: a pass asks for every target
	at   time.Time
	next time.Time
}

// NewDeployWindow makes a DeployWindow of a window that has been checked; nil if any
// minute will do.
func NewDeployWindow(spec string) (*DeployWindow, error) {
	if spec == "" {
		return nil, nil
	}
	times, err := parseCron(spec)
	return &DeployWindow{times: times}, err
}

// Next is when deployments may begin; zero: now.
func (o *DeployWindow) Next(now time.Time) time.Time {
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
