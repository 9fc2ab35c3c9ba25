package renewalinfo

import (
	"errors"
	"testing"
	"time"
)

const day = 24 * time.Hour

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// moment is an error that passes.
type moment struct{ error }

func (moment) Temporary() bool { return true }

// limited is an error that knows when to try again.
type limited struct{ at time.Time }

func (e limited) Error() string       { return "too many" }
func (e limited) Earliest() time.Time { return e.at }

// jitterless is a wait that is over whatever was added to it by chance.
func jitterless(wait time.Duration) time.Duration { return wait + wait/8 }

func TestAdvice(t *testing.T) {
	w := SuggestedWindow{Start: now.Add(time.Hour), End: now.Add(2 * time.Hour), Next: now.Add(6 * time.Hour)}
	kept := Info{Fingerprint: "f", Start: w.Start, End: w.End, Chosen: now.Add(90 * time.Minute), Failures: 3, Error: "down"}
	a := Info{}.Updated("f", w, now)
	if a.Chosen.Before(w.Start) || !a.Chosen.Before(w.End) {
		t.Errorf("chosen %v, want it between %v and %v", a.Chosen, w.Start, w.End)
	}
	if a := kept.Updated("f", w, now); !a.Chosen.Equal(kept.Chosen) || a.Failures != 0 {
		t.Errorf("the window stays: %+v, want what was chosen before", a)
	}
	moved := w
	moved.End = w.End.Add(-45 * time.Minute)
	if a := kept.Updated("f", moved, now); !a.Chosen.Before(moved.End) {
		t.Errorf("the window moved: chosen %v, want it before %v", a.Chosen, moved.End)
	}
	if a := kept.Updated("g", w, now); a.Chosen.Equal(kept.Chosen) {
		t.Error("another certificate has the instant of the one before") // within a second, by a chance of one in 3,600
	}
	narrow := SuggestedWindow{Start: now.Add(999 * time.Millisecond), End: now.Add(time.Second)}
	if a := kept.Updated("f", narrow, now); a.Chosen.Before(narrow.Start) || a.Chosen.After(narrow.End) {
		t.Errorf("a window of less than a second: chosen %v, want it between %v and %v", a.Chosen, narrow.Start, narrow.End)
	}
	for _, tt := range []struct {
		name string
		w    SuggestedWindow
		next time.Duration
	}{
		{"no window", SuggestedWindow{Next: now.Add(time.Hour)}, time.Hour},
		{"an empty window", SuggestedWindow{Start: now, End: now, Next: now.Add(time.Hour)}, time.Hour},
		{"a window that ends before it starts", SuggestedWindow{Start: now, End: now.Add(-day)}, time.Minute},
		{"asked again at once", SuggestedWindow{Next: now}, time.Minute},
		{"asked again in a year", SuggestedWindow{Next: now.Add(365 * day)}, day},
	} {
		a := kept.Updated("f", tt.w, now)
		if !a.Chosen.IsZero() || !a.Start.IsZero() || a.Next.Sub(now) != tt.next {
			t.Errorf("%s: %+v, want no window and %v", tt.name, a, tt.next)
		}
	}
}

func TestAdviceMissed(t *testing.T) {
	a := Info{Fingerprint: "f", Chosen: now.Add(day)}
	for i, want := range []time.Duration{time.Minute, 10 * time.Minute, 100 * time.Minute, 6 * time.Hour, 6 * time.Hour} {
		a = a.Failed("f", moment{errors.New("no\nanswer")}, now)
		if got := a.Next.Sub(now); got < want || got > jitterless(want) || a.Failures != i+1 || a.Error != "no; answer" {
			t.Errorf("failure %d: %+v, want to ask after %v", i, a, want)
		}
	}
	if !a.Chosen.Equal(now.Add(day)) {
		t.Error("what was heard before is forgotten")
	}
	if a := a.Failed("g", errors.New("nonsense"), now); !a.Chosen.IsZero() || a.Next.Sub(now) < 6*time.Hour {
		t.Errorf("nonsense about another certificate: %+v", a)
	}
	if a := a.Failed("f", limited{now.Add(2 * time.Hour)}, now); a.Next.Sub(now) < 2*time.Hour || a.Next.Sub(now) > jitterless(2*time.Hour) {
		t.Errorf("asks after %v, want the two hours the CA said", a.Next.Sub(now))
	}
}
