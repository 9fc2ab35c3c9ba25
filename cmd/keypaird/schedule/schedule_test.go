package schedule

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"keypaird/renew/loop"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func mustTimetable(t *testing.T, spec string, spread time.Duration) Schedule {
	t.Helper()
	table, err := New(spec, spread)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func mustOpening(t *testing.T, spec string) *Window {
	t.Helper()
	o, err := NewWindow(spec)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// What a schedule says, in Berlin: summer time begins on 29 March 2026 at two,
// when it is three, and ends on 25 October at three, when it is two.
func TestTimetable(t *testing.T) {
	berlin := zone(t, "Europe/Berlin")
	at := func(s string) time.Time {
		when, err := time.ParseInLocation(time.DateTime, s, berlin)
		if err != nil {
			t.Fatal(err)
		}
		return when
	}
	once := time.Date(2026, 10, 25, 0, 30, 0, 0, time.UTC).In(berlin) // half past two, in summer time
	for _, tt := range []struct {
		name, spec  string
		spread      time.Duration
		after, want time.Time
	}{
		{"an interval", "@every 30m", 20 * time.Second, at("2026-06-01 12:00:07"), at("2026-06-01 12:30:07")},
		{"an interval over the night of spring", "@every 24h", 0, at("2026-03-28 12:00:00"), at("2026-03-29 13:00:00")},
		{"a daily line", "0 3 * * *", 0, at("2026-06-01 12:00:00"), at("2026-06-02 03:00:00")},
		{"with a spread", "0 3 * * *", 20 * time.Second, at("2026-06-01 12:00:00"), at("2026-06-02 03:00:20")},
		{"with a spread, in between", "0 3 * * *", 20 * time.Second, at("2026-06-01 03:00:05"), at("2026-06-01 03:00:20")},
		{"with a spread, just looked", "0 3 * * *", 20 * time.Second, at("2026-06-01 03:00:20"), at("2026-06-02 03:00:20")},
		{"another time zone", "TZ=UTC 0 3 * * *", 0, at("2026-06-01 12:00:00"), at("2026-06-02 05:00:00")},
		{"the same, as cron says it", "CRON_TZ=America/New_York 0 3 * * *", 0, at("2026-06-01 12:00:00"), at("2026-06-02 09:00:00")},
		{"an hour that is left out comes the next day", "30 2 * * *", 0, at("2026-03-28 12:00:00"), at("2026-03-30 02:30:00")},
		{"the hour after it", "0 3 * * *", 0, at("2026-03-28 12:00:00"), at("2026-03-29 03:00:00")},
		{"an hour that comes twice", "30 2 * * *", 0, at("2026-10-24 12:00:00"), once},
		{"and again", "30 2 * * *", 0, once, once.Add(time.Hour)},
		{"and not a third time", "30 2 * * *", 0, once.Add(time.Hour), at("2026-10-26 02:30:00")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := mustTimetable(t, tt.spec, tt.spread).Next(tt.after); !got.Equal(tt.want) {
				t.Errorf("after %v comes %v, want %v", tt.after, got, tt.want)
			}
		})
	}
}

// A window is open in its minutes, and else it is known when it opens.
func TestOpening(t *testing.T) {
	berlin := zone(t, "Europe/Berlin")
	day := time.Date(2026, 6, 1, 0, 0, 0, 0, berlin) // a Monday
	spring := time.Date(2026, 3, 29, 0, 0, 0, 0, berlin)
	for _, tt := range []struct {
		name, spec string
		now, want  time.Time // zero: open
	}{
		{"before", "* 3 * * *", day.Add(2*time.Hour + 59*time.Minute + 59*time.Second), day.Add(3 * time.Hour)},
		{"its first instant", "* 3 * * *", day.Add(3 * time.Hour), time.Time{}},
		{"within a minute", "* 3 * * *", day.Add(3*time.Hour + 17*time.Minute + 12345678*time.Nanosecond), time.Time{}},
		{"its last instant", "* 3 * * *", day.Add(4*time.Hour - 1), time.Time{}},
		{"after", "* 3 * * *", day.Add(4 * time.Hour), day.Add(27 * time.Hour)},
		{"single minutes", "15,45 * * * *", day.Add(15*time.Minute + 30*time.Second), time.Time{}},
		{"between them", "15,45 * * * *", day.Add(16 * time.Minute), day.Add(45 * time.Minute)},
		{"on another day", "* * * * SUN", day, day.AddDate(0, 0, 6)},
		{"any", "* * * * *", day.Add(time.Second), time.Time{}},
		{"in another time zone", "TZ=UTC * 3 * * *", day.Add(5*time.Hour + time.Minute), time.Time{}},
		{"an hour that is left out", "* 2 * * *", spring.Add(90 * time.Minute), time.Date(2026, 3, 30, 2, 0, 0, 0, berlin)},
		{"as if it were there", "* 2 * * *", spring.Add(2 * time.Hour), time.Date(2026, 3, 30, 2, 0, 0, 0, berlin)},
		{"the hour after it", "* 3 * * *", spring.Add(2 * time.Hour), time.Time{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := mustOpening(t, tt.spec)
			for range 2 { // the second answer is remembered
				if got := o.Next(tt.now); !got.Equal(tt.want) {
					t.Errorf("at %v it opens at %v, want %v", tt.now, got, tt.want)
				}
			}
		})
	}
	o := mustOpening(t, "15 * * * *") // what is remembered of one minute is not said of another
	for _, minute := range []int{14, 15, 16} {
		if open := o.Next(day.Add(time.Duration(minute)*time.Minute + time.Second)).IsZero(); open != (minute == 15) {
			t.Errorf("minute %d: open is %v", minute, open)
		}
	}
}

// A year of a daemon in Berlin: a daily line comes each day, in the hour that is
// left out in spring as well, and the window opens each day.
func TestYearOfSchedule(t *testing.T) {
	for _, spec := range []string{"30 2 * * *", "TZ=America/Sao_Paulo 0 0 * * *", "@every 12h"} {
		t.Run(spec, func(t *testing.T) {
			t.Parallel()
			berlin := zone(t, "Europe/Berlin")
			synctest.Test(t, func(t *testing.T) {
				table, window := mustTimetable(t, spec, 17*time.Second), mustOpening(t, "* 2-3 * * *")
				begin, ctx := time.Now().In(berlin), t.Context()
				ctx, cancel := context.WithDeadline(ctx, begin.AddDate(1, 0, 0))
				defer cancel()
				var looks int
				var last time.Time
				opened := map[string]bool{}
				now := func() time.Time { return time.Now().Round(0).In(berlin) }
				runner := loop.Loop{
					RunPass: func(context.Context, map[string]bool) map[string]time.Time {
						if gap := now().Sub(last); looks > 0 && gap > 49*time.Hour {
							t.Errorf("no look for %v before %v", gap, now())
						}
						looks++
						last = now()
						at := window.Next(now())
						if at.IsZero() {
							opened[now().Format(time.DateOnly)] = true
							at = now().Add(3 * time.Hour)
						}
						return map[string]time.Time{"a": at}
					},
					Schedule: table.Next, Clock: now, Log: slog.New(slog.DiscardHandler),
				}
				runner.Run(ctx)
				if looks < 365 || looks > 4*366 {
					t.Errorf("%d looks in a year", looks)
				}
				if len(opened) < 364 {
					t.Errorf("the window was seen open on %d days", len(opened))
				}
			})
		})
	}
}
