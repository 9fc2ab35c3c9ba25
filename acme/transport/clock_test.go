package transport

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestDifference(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name string
		date time.Duration // of the CA, from now
		took time.Duration // until the answer was there, from now
		want time.Duration
	}{
		{"the same second", 0, 100 * time.Millisecond, 0},
		{"the second before, cut off", -900 * time.Millisecond, 10 * time.Millisecond, 0},
		{"an answer that took long", 3 * time.Second, 90 * time.Second, 0},
		{"a laptop that slept meanwhile", 0, 9 * time.Hour, 0},
		{"ahead", time.Hour, time.Second, time.Hour - time.Second},
		{"behind", -time.Hour, time.Second, -time.Hour + time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := difference(now.Add(tt.date), now, now.Add(tt.took)); got != tt.want {
				t.Errorf("difference = %v, want %v", got, tt.want)
			}
		})
	}
}

// The warning that clocks differ is logged once, and again only after they agreed.
func TestClock(t *testing.T) {
	var log bytes.Buffer
	s := NewServer(Options{CA: "ca", Log: slog.New(slog.NewTextHandler(&log, nil))})
	if ahead, known := s.Clock(); known {
		t.Errorf("Clock = %v before any answer", ahead)
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	warnings := 0
	for _, tt := range []struct {
		name  string
		date  string
		ahead time.Duration
		warn  bool
	}{
		{"agrees", "Sun, 01 Mar 2026 12:00:00 GMT", 0, false},
		{"a little ahead", "Sun, 01 Mar 2026 12:04:00 GMT", 4 * time.Minute, false},
		{"ahead", "Sun, 01 Mar 2026 12:06:00 GMT", 6 * time.Minute, true},
		{"no date", "", 6 * time.Minute, false},
		{"no date that can be read", "yesterday", 6 * time.Minute, false},
		{"behind", "Sun, 01 Mar 2026 10:59:59 GMT", -time.Hour, false},
		{"agrees again", "Sun, 01 Mar 2026 12:00:00 GMT", 0, false},
		{"behind again", "Sun, 01 Mar 2026 10:59:59 GMT", -time.Hour, true},
	} {
		h := http.Header{}
		if tt.date != "" {
			h.Set("Date", tt.date)
		}
		s.clock.compare(h, now, now)
		if ahead, known := s.Clock(); ahead != tt.ahead || !known {
			t.Errorf("%s: Clock = %v, %v; want %v", tt.name, ahead, known, tt.ahead)
		}
		if tt.warn {
			warnings++
		}
		if got := strings.Count(log.String(), `level=WARN msg="clock differs" ca=ca by=`); got != warnings {
			t.Errorf("%s: %d warnings, want %d: %s", tt.name, got, warnings, log.String())
		}
	}
}
