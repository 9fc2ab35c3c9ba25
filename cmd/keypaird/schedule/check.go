package schedule

import (
	"fmt"
	"time"

	"github.com/robfig/cron/v3"

	"keypaird/renew/problem"
)

// Check refuses times that the library panics on, spins on or never comes to after now.
func Check(spec string, now time.Time) error {
	s, err := parse(spec)
	every, interval := s.(cron.ConstantDelaySchedule)
	switch {
	case err != nil:
		return err
	case interval && every.Delay < time.Minute:
		return problem.Newf(`write at least "@every 1m"`, "%q is too often", spec)
	case interval && every.Delay > 31*24*time.Hour:
		return problem.Newf(`write at most "@every 744h"`, "%q is too seldom", spec)
	case !interval && s.Next(now).IsZero():
		return fmt.Errorf("%q never happens: no time matches it", spec)
	}
	return nil
}
