package transport

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

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"", "120", "-1", "Sun, 01 Mar 2026 12:05:00 GMT", "99999999999999999999"} {
		f.Add(s)
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		if at := retryAfter(http.Header{"Retry-After": {s}}, now); !at.IsZero() && !at.After(now) {
			t.Errorf("retryAfter(%q) = %v, which is not after %v", s, at, now)
		}
	})
}
