package backoff

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

const day = 24 * time.Hour

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// limited is an error that knows when to try again.
type limited struct{ at time.Time }

func (e limited) Error() string       { return "too many" }
func (e limited) Earliest() time.Time { return e.at }
func (e limited) Remedy() string      { return "wait" }

// jitterless is a wait that is over whatever was added to it by chance.
func jitterless(wait time.Duration) time.Duration { return wait + wait/jitterPart }

func TestBackoff(t *testing.T) {
	var a Attempt
	for i, want := range []time.Duration{time.Minute, 10 * time.Minute, 100 * time.Minute, day, day, day} {
		a = a.Failed(errors.New("no\nanswer"), now, time.Time{})
		if got := a.Next.Sub(now); got < want || got > jitterless(want) || a.Failures != i+1 {
			t.Errorf("failure %d: next try after %v, want %v", a.Failures, got, want)
		}
	}
	if a.Error != "no; answer" {
		t.Errorf("error = %q, want one line", a.Error)
	}
	for _, tt := range []struct {
		name  string
		after time.Duration // the CA wants no other try before
		want  time.Duration
	}{
		{"in seconds", 5 * time.Second, time.Minute},
		{"in hours", 3 * time.Hour, 3 * time.Hour},
		{"in a week", 7 * day, day},
		{"in the past", -day, time.Minute},
	} {
		a := Attempt{}.Failed(fmt.Errorf("ordering: %w", limited{now.Add(tt.after)}), now, time.Time{})
		if got := a.Next.Sub(now); got < tt.want || got > tt.want+time.Minute+time.Second || a.Remedy != "wait" {
			t.Errorf("%s: next try after %v (%s), want %v", tt.name, got, a.Remedy, tt.want)
		}
	}
}

// localError is an error that another machine may not have.
type localError struct{}

func (localError) Error() string   { return "no route" }
func (localError) FailsHere() bool { return true }

// Failures that another machine may not have are counted in a row.
func TestFailsHere(t *testing.T) {
	var a Attempt
	for i, tt := range []struct {
		err  error
		want int
	}{{localError{}, 1}, {fmt.Errorf("ordering: %w", localError{}), 2}, {errors.New("refused"), 0}, {localError{}, 1}} {
		if a = a.Failed(tt.err, now, time.Time{}); a.Here != tt.want || a.Failures != i+1 {
			t.Errorf("%v: %d of %d failures here, want %d", tt.err, a.Here, a.Failures, tt.want)
		}
	}
}

// Near its end, a certificate is tried for more often, but not so often that the
// CA takes offence.
func TestBackoffNearExpiry(t *testing.T) {
	for _, tt := range []struct {
		name  string
		left  time.Duration
		fails int
		want  time.Duration
	}{
		{"a month left", 30 * day, 9, day},
		{"five days left", 5 * day, 9, 6 * time.Hour},
		{"five days left, first failure", 5 * day, 1, time.Minute},
		{"a day left", day, 9, 72 * time.Minute},
		{"an hour left", time.Hour, 9, minNearExpiry},
		{"expired", -time.Hour, 9, time.Hour},
		{"expired, second failure", -time.Hour, 2, 10 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := Attempt{Failures: tt.fails - 1}.Failed(errors.New("no"), now, now.Add(tt.left))
			if got := a.Next.Sub(now); got < tt.want || got > jitterless(tt.want) {
				t.Errorf("next try after %v, want %v", got, tt.want)
			}
		})
	}
}

// A step that must succeed before the end of what is in use is tried again before it.
func TestNextTryBeforeTheEnd(t *testing.T) {
	for _, left := range []time.Duration{20 * time.Second, time.Minute, 14 * time.Minute, time.Hour} {
		for failures := range 6 {
			a, end := Attempt{Failures: failures}, now.Add(left)
			if next := a.Failed(errors.New("no"), now, end).Next; next.After(end) {
				t.Errorf("%v before the end, after %d failures: next try %v after it", left, failures, next.Sub(end))
			}
			if latest := a.Latest(now, end); latest.After(end) {
				t.Errorf("%v before the end, after %d failures: latest try %v after it", left, failures, latest.Sub(end))
			}
		}
	}
}
