package config

import (
	"cmp"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/robfig/cron/v3"

	"keypaird/renew/problem"
)

// MaxSpread bounds the delay after the time of a cron line, so that machines with
// the same configuration do not ask a CA at the same instant.
const MaxSpread = 30 * time.Second

// A Schedule says when the daemon runs its passes.
type Schedule struct {
	times  cron.Schedule
	spread time.Duration // added to each time of a cron line
}

// NewSchedule parses a schedule. spread is added to the times of a cron line.
func NewSchedule(spec string, spread time.Duration) (Schedule, error) {
	times, err := parseCron(spec)
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

// A DeployWindow says in which minutes deployments may begin.
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

// Next returns when deployments may begin; zero means now.
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
	return time.Time{}
}

// checkSchedules refuses times that the library panics on, spins on or never comes
// to.
func (c *checker) checkSchedules() {
	c.checkCron(path{"schedule"}, c.cfg.Schedule, `write a cron line of five fields, or "@every 30m"`)
	const remedy = `write the minutes as a cron line of five fields: "* 3 * * *"`
	p, window := path{"window"}, c.cfg.Window
	switch _, times, _ := cutZone(window); {
	case strings.HasPrefix(times, "@"):
		c.report(p, remedy, "%q names no minutes", window)
	case window != "":
		c.checkCron(p, window, remedy)
	}
}

func (c *checker) checkCron(p path, spec, remedy string) {
	s, err := parseCron(spec)
	every, interval := s.(cron.ConstantDelaySchedule)
	switch {
	case err != nil:
		c.report(p, cmp.Or(problem.Remedy(err), remedy), "%v", err)
	case interval && every.Delay < time.Minute:
		c.report(p, `write at least "@every 1m"`, "%q is too often", spec)
	case interval && every.Delay > 31*24*time.Hour:
		c.report(p, `write at most "@every 744h"`, "%q is too seldom", spec)
	case !interval && s.Next(time.Now()).IsZero():
		c.report(p, remedy, "%q never happens: no time matches it", spec)
	}
}

// cutZone takes the time zone off a schedule, if there is one.
func cutZone(spec string) (zone, times string, found bool) {
	for _, prefix := range []string{"CRON_TZ=", "TZ="} {
		if rest, ok := strings.CutPrefix(spec, prefix); ok {
			zone, times, _ = strings.Cut(rest, " ")
			return zone, strings.TrimSpace(times), true
		}
	}
	return "", spec, false
}

// parseCron is cron.ParseStandard of v3.0.1, without its panic about a time zone
// that nothing follows, and with its messages in the words of an operator.
func parseCron(spec string) (cron.Schedule, error) {
	shown := cut(spec, maxShown)
	if zone, times, found := cutZone(spec); found {
		if times == "" {
			return nil, fmt.Errorf("%q is a time zone without a cron expression", shown)
		}
		if _, err := time.LoadLocation(zone); err != nil || zone == "" || zone == "Local" {
			return nil, problem.Newf(`write it as in "TZ=Europe/Berlin `+times+`", or leave it out: local time counts`,
				"%q is not a time zone known on this machine", cut(zone, maxShown))
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
	return nil, problem.Newf(remedy, "%q is not a schedule: %s", shown, cut(why, maxShown))
}
