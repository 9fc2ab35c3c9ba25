package status

import (
	"testing"
	"time"
)

// The time of this machine stands beside UTC where it is another one.
func TestLocal(t *testing.T) {
	was := time.Local
	defer func() { time.Local = was }()
	at := time.Date(2026, 3, 1, 23, 30, 0, 0, time.UTC)
	for _, tt := range []struct {
		name  string
		zone  *time.Location
		at    time.Time
		wants string
	}{
		{"UTC", time.UTC, at, "2026-03-01 23:30 UTC"},
		{"as UTC", time.FixedZone("GMT", 0), at, "2026-03-01 23:30 UTC"},
		{"the same day", time.FixedZone("CET", 3600), at.Add(-time.Hour), "2026-03-01 22:30 UTC (23:30 CET)"},
		{"the next day", time.FixedZone("CET", 3600), at, "2026-03-01 23:30 UTC (2026-03-02 00:30 CET)"},
		{"the day before", time.FixedZone("EST", -5*3600), at.Add(-23 * time.Hour), "2026-03-01 00:30 UTC (2026-02-28 19:30 EST)"},
	} {
		time.Local = tt.zone
		if got := local(tt.at); got != tt.wants {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.wants)
		}
	}
}
