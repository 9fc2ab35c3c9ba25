package acme

import (
	"testing"
	"time"

	"keypaird/acme/transport"
)

func TestPace(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name   string
		waited time.Duration
		asked  time.Duration // Retry-After from now; zero means none
		took   time.Duration // the last answer
		want   time.Duration
	}{
		{"first poll", 0, 0, 0, time.Millisecond},
		{"a CA that needs a second", time.Second, 0, 0, 62500 * time.Microsecond},
		{"a CA that needs minutes", 3 * time.Minute, 0, 0, 5 * time.Second},
		{"as the CA asks", 0, 3 * time.Second, 0, 3 * time.Second},
		{"a CA that asks for an hour", 0, time.Hour, 0, time.Minute},
		{"Retry-After of a poll long ago", time.Second, -time.Second, 0, 62500 * time.Microsecond},
		{"a CA that is busy", 0, 0, 7 * time.Millisecond, 7 * time.Millisecond},
		{"a CA that is far", 0, 0, 200 * time.Millisecond, 10 * time.Millisecond},
		{"a CA that is far and needs a second", time.Second, 0, 200 * time.Millisecond, 62500 * time.Microsecond},
		{"as a CA asks that is busy", 0, 3 * time.Millisecond, 7 * time.Millisecond, 3 * time.Millisecond},
		{"clock put back", -time.Hour, 0, 0, time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := transport.Answer{Took: tt.took}
			if tt.asked != 0 {
				a.RetryAfter = now.Add(tt.asked)
			}
			if got := (pace{now.Add(-tt.waited)}).next(now, a); got != tt.want {
				t.Errorf("next = %v, want %v", got, tt.want)
			}
		})
	}
}

// Polling overshoots the time the CA needs by a sixteenth at most.
func TestPaceOvershoot(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for needs := 50 * time.Millisecond; needs < 20*time.Second; needs += 7 * time.Millisecond {
		p, now, polls := pace{start}, start, 0
		for ; now.Sub(start) < needs; polls++ {
			now = now.Add(p.next(now, transport.Answer{}))
		}
		if over := now.Sub(start) - needs; over > needs/16+time.Millisecond || polls > 140 {
			t.Fatalf("a CA that needs %v is overshot by %v with %d polls", needs, over, polls)
		}
	}
}
