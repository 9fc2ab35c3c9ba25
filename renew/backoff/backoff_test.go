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

// unserved is an error that knows where the certificate is not served.
type unserved struct{}

func (unserved) Error() string          { return "not served" }
func (unserved) FailedEndpoint() string { return "127.0.0.1:443" }

// The endpoint of a failed verification is recorded, and forgotten when something
// else fails.
func TestFailedEndpoint(t *testing.T) {
	a := Attempt{}.Failed(fmt.Errorf("verifying: %w", unserved{}), now, time.Time{})
	if a.Endpoint != "127.0.0.1:443" {
		t.Errorf("endpoint = %q", a.Endpoint)
	}
	if a = a.Failed(errors.New("reloading"), now, time.Time{}); a.Endpoint != "" {
		t.Errorf("endpoint = %q after another failure", a.Endpoint)
	}
}
