package status

import (
	"fmt"
	"time"

	"keypaird/renew/textfmt"
)

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04Z") }

// underMinute stands for any shorter time.
const underMinute = "under a minute"

// span formats a duration in its most telling unit.
func span(d time.Duration) string {
	switch {
	case d < 0:
		return "0"
	case d < time.Minute:
		return underMinute
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/(24*time.Hour))
}

// left formats the time until end.
func left(end, now time.Time) string {
	if d := end.Sub(now); d > 0 {
		return long(d) + " left"
	}
	return "expired " + ahead(end, now)
}

// ahead formats the distance of t from now.
func ahead(t, now time.Time) string {
	if d := t.Sub(now); d >= 0 {
		return "in " + long(d)
	}
	return long(now.Sub(t)) + " ago"
}

// long is like span, with the unit in words.
func long(d time.Duration) string {
	n, unit := d/(24*time.Hour), "day"
	switch {
	case d < time.Minute:
		return underMinute
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

// local is when, with the time of this machine's zone beside it if that differs.
func local(t time.Time) string {
	here := t.Local()
	format := "15:04 MST"
	switch _, offset := here.Zone(); {
	case offset == 0:
		return when(t)
	case here.Day() != t.UTC().Day():
		format = "2006-01-02 " + format
	}
	return when(t) + " (" + here.Format(format) + ")"
}

func date(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// stamp formats a time for programs.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// second returns t as it is shown: UTC, whole seconds.
func second(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

func times(n int) string {
	switch n {
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return fmt.Sprintf("%d times", n)
}

// printable returns text from a CA or a file as one printable line.
func printable(s string) string { return textfmt.OneLine(s, 0) }
