package main

import (
	"errors"
	"fmt"
	"strings"
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

// zonePrefixes are how a schedule says in whose time it is.
var zonePrefixes = []string{"CRON_TZ=", "TZ="}

// cutZone takes the time zone off a schedule, if there is one.
func cutZone(spec string) (zone, times string, found bool) {
	for _, prefix := range zonePrefixes {
		if rest, ok := strings.CutPrefix(spec, prefix); ok {
			zone, times, _ = strings.Cut(rest, " ")
			return zone, strings.TrimSpace(times), true
		}
	}
	return "", spec, false
}

var (
	errNoTimes = errors.New("there are no times behind the time zone")
	errNoZone  = errors.New("there is no such time zone")
)

// parseCron is cron.ParseStandard of v3.0.1, without its panic about a time zone
// that nothing follows.
func parseCron(spec string) (cron.Schedule, error) {
	zone, times, found := cutZone(spec)
	if found {
		if times == "" {
			return nil, errNoTimes
		}
		if _, err := time.LoadLocation(zone); err != nil || zone == "" || zone == "Local" {
			return nil, fmt.Errorf("%w: %s", errNoZone, zone)
		}
	}
	return cron.ParseStandard(spec)
}
