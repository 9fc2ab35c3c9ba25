package acme

import (
	"net/http"
	"testing"
	"time"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name, header string
		want         time.Duration // from now; zero means none
	}{
		{"none", "", 0},
		{"seconds", "120", 2 * time.Minute},
		{"no wait", "0", 0},
		{"negative", "-5", 0},
		{"with a sign", "+5", 0},
		{"a fraction", "1.5", 0},
		{"centuries", "99999999999999999999", 0},
		{"a date", "Sun, 01 Mar 2026 12:05:00 GMT", 5 * time.Minute},
		{"a date that has passed", "Sun, 01 Mar 2026 11:05:00 GMT", 0},
		{"words", "soon", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := retryAfter(http.Header{"Retry-After": {tt.header}}, now)
			if tt.want == 0 && !got.IsZero() || tt.want != 0 && got.Sub(now) != tt.want {
				t.Errorf("retryAfter = %v, want %v from %v", got, tt.want, now)
			}
		})
	}
}

func TestPace(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name   string
		waited time.Duration
		asked  time.Duration // Retry-After from now; zero means none
		want   time.Duration
	}{
		{"first look", 0, 0, time.Millisecond},
		{"a CA that needs a second", time.Second, 0, 62500 * time.Microsecond},
		{"a CA that needs minutes", 3 * time.Minute, 0, 5 * time.Second},
		{"as the CA asks", 0, 3 * time.Second, 3 * time.Second},
		{"a CA that asks for an hour", 0, time.Hour, time.Minute},
		{"Retry-After of a look long ago", time.Second, -time.Second, 62500 * time.Microsecond},
		{"clock put back", -time.Hour, 0, time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var a answer
			if tt.asked != 0 {
				a.retryAfter = now.Add(tt.asked)
			}
			if got := (pace{now.Add(-tt.waited)}).next(now, a); got != tt.want {
				t.Errorf("next = %v, want %v", got, tt.want)
			}
		})
	}
}

// The next look comes soon enough after any time the CA may need: 1.05 times
// the least is aimed at.
func TestPaceOvershoot(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for needs := 50 * time.Millisecond; needs < 20*time.Second; needs += 7 * time.Millisecond {
		p, now, looks := pace{start}, start, 0
		for ; now.Sub(start) < needs; looks++ {
			now = now.Add(p.next(now, answer{}))
		}
		if over := now.Sub(start) - needs; over > needs/16+time.Millisecond || looks > 140 {
			t.Fatalf("a CA that needs %v is overshot by %v with %d looks", needs, over, looks)
		}
	}
}
