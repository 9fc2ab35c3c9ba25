package status

import (
	"fmt"
	"time"
)

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04Z") }

// briefly is a time that is not worth a number.
const briefly = "under a minute"

// span prints what is left in the unit that tells most.
func span(d time.Duration) string {
	switch {
	case d < 0:
		return "0"
	case d < time.Minute:
		return briefly
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/(24*time.Hour))
}

// left says how long it is until an end.
func left(end, now time.Time) string {
	if d := end.Sub(now); d > 0 {
		return long(d) + " left"
	}
	return "ended " + ahead(end, now)
}

// ahead says how far t is from now.
func ahead(t, now time.Time) string {
	if d := t.Sub(now); d >= 0 {
		return "in " + long(d)
	}
	return long(now.Sub(t)) + " ago"
}

// long is span in words.
func long(d time.Duration) string {
	n, unit := d/(24*time.Hour), "day"
	switch {
	case d < time.Minute:
		return briefly
	case d < 2*time.Hour:
		n, unit = d/time.Minute, "minute"
	case d < 48*time.Hour:
		n, unit = d/time.Hour, "hour"
	}
	if n != 1 {
		unit += "s"
	}
	return fmt.Sprintf("%d %s", n, unit)
}

func when(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

func date(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// stamp is a time for programs that read the page.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
