package schedule

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/robfig/cron/v3"

	"keypaird/renew/problem"
	"keypaird/renew/textfmt"
)

// MaxSpread bounds the delay after the time of a cron line, so that machines with
// the same configuration do not ask a CA at the same instant.
const MaxSpread = 30 * time.Second

// maxShown is how much of a schedule a message repeats.
const maxShown = 256

// A Schedule says when the daemon runs its passes.
type Schedule struct {
	times  cron.Schedule
	spread time.Duration // added to each time of a cron line
}

// New parses a schedule. spread is added to the times of a cron line.
func New(spec string, spread time.Duration) (Schedule, error) {
	times, err := parse(spec)
	if _, interval := times.(cron.ConstantDelaySchedule); interval {
		spread = 0
	}
	return Schedule{times, spread}, err
}

// Next returns the first time after a given one; zero if there is none.
func (t Schedule) Next(after time.Time) time.Time {
	at := t.times.Next(after.Add(-t.spread))
	if at.IsZero() {
		return at
	}
	return at.Add(t.spread)
}

// A Window says in which minutes deployments may begin.
type Window struct {
	times cron.Schedule

	mu   sync.Mutex // of what was answered last: a pass asks for every target
	at   time.Time
	next time.Time
}

// NewWindow makes a Window of a window that has been checked; nil if any
// minute will do.
func NewWindow(spec string) (*Window, error) {
	if spec == "" {
		return nil, nil
	}
	times, err := parse(spec)
	return &Window{times: times}, err
}

// Next returns when deployments may begin; zero means now.
func (o *Window) Next(now time.Time) time.Time {
	minute := now.Truncate(time.Minute)
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.at.Equal(minute) {
		o.at, o.next = minute, o.times.Next(minute.Add(-time.Second))
	}
	if o.next.After(now) {
		return o.next
	}
	return time.Time{}
}

// CutZone takes the time zone off a schedule, if there is one.
func CutZone(spec string) (zone, times string, found bool) {
	for _, prefix := range []string{"CRON_TZ=", "TZ="} {
		if rest, ok := strings.CutPrefix(spec, prefix); ok {
			zone, times, _ = strings.Cut(rest, " ")
			return zone, strings.TrimSpace(times), true
		}
	}
	return "", spec, false
}

// parse is cron.ParseStandard of v3.0.1, without its panic about a time zone
// that nothing follows, and with its messages in the words of an operator.
func parse(spec string) (cron.Schedule, error) {
	shown := textfmt.OneLine(spec, maxShown)
	if zone, times, found := CutZone(spec); found {
		if times == "" {
			return nil, fmt.Errorf("%q is a time zone without a cron expression", shown)
		}
		if _, err := time.LoadLocation(zone); err != nil || zone == "" || zone == "Local" {
			return nil, problem.Newf(`write it as in "TZ=Europe/Berlin `+times+`", or leave it out: local time counts`,
				"%q is not a time zone known on this machine", textfmt.OneLine(zone, maxShown))
		}
	}
	s, err := cron.ParseStandard(spec)
	if err == nil {
		return s, nil
	}
	why, _, _ := strings.Cut(err.Error(), ": ") // the rest is for programmers
	why = strings.NewReplacer("failed to parse int from", "no number:", "failed to parse duration", "no duration:").Replace(why)
	remedy := ""
	if strings.HasSuffix(why, "(7) above maximum (6)") {
		remedy = "write 0 for Sunday"
	}
	return nil, problem.Newf(remedy, "%q is not a schedule: %s", shown, textfmt.OneLine(why, maxShown))
}
