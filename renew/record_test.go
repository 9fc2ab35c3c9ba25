package renew

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

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

// The record is a hint: whatever is in its place, the target goes on.
func TestDamagedRecord(t *testing.T) {
	for _, tt := range []struct{ name, content string }{
		{"empty", ""}, {"half a file", `{"ca":"le","iss`}, {"another type", `[]`}, {"null", "null"},
		{"fields of other types", `{"ca":"le","orders":{"le":{"failures":"many"}}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			path := filepath.Join(w.store.Dir("chat"), "record.json")
			must(t, os.MkdirAll(filepath.Dir(path), 0o700))
			must(t, os.WriteFile(path, []byte(tt.content), 0o600))
			if r, err := LoadRecord(w.store, "chat"); err != nil || r.CA != "" || r.Deployments != nil {
				t.Errorf("LoadRecord = %+v, %v; want an empty one", r, err)
			}
		})
	}
	w := newWorld(t)
	path := filepath.Join(w.store.Dir("chat"), "record.json")
	must(t, os.MkdirAll(path, 0o700))
	if _, err := LoadRecord(w.store, "chat"); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("a directory in its place: %v, want an error", err)
	}
}

func FuzzLoadRecord(f *testing.F) {
	f.Add([]byte(`{"ca":"le","issued_at":"2026-03-01T12:00:00Z","orders":{"le":{"failures":1,"next":"9999-12-31T23:59:59Z"}}}`))
	f.Add([]byte(`{"issued_at":null,"deployments":{"relayd":{"attempt":{"failures":-5}}}}`))
	w := newWorld(f)
	path := filepath.Join(w.store.Dir("chat"), "record.json")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		must(t, os.WriteFile(path, data, 0o600))
		r, err := LoadRecord(w.store, "chat")
		if err != nil {
			return
		}
		for _, mode := range []Mode{Scheduled, Manual, Force} {
			d := Decide(now, chat, State{Leaf: ours(61*day, 90*day), Fingerprint: "f", Record: r}, mode)
			if d.Action == Wait && d.At.Sub(now) > 2*day {
				t.Errorf("waits until %v", d.At)
			}
		}
		r.Orders["le"].Failed(errors.New("x"), now, time.Time{})
	})
}
