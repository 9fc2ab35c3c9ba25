package renew

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// moment is an error that passes.
type moment struct{ error }

func (moment) Temporary() bool { return true }

func TestAdvice(t *testing.T) {
	w := SuggestedWindow{Start: now.Add(time.Hour), End: now.Add(2 * time.Hour), Next: now.Add(6 * time.Hour)}
	kept := RenewalInfo{Fingerprint: "f", Start: w.Start, End: w.End, Chosen: now.Add(90 * time.Minute), Failures: 3, Error: "down"}
	a := RenewalInfo{}.updated("f", w, now)
	if a.Chosen.Before(w.Start) || !a.Chosen.Before(w.End) {
		t.Errorf("chosen %v, want it between %v and %v", a.Chosen, w.Start, w.End)
	}
	if a := kept.updated("f", w, now); !a.Chosen.Equal(kept.Chosen) || a.Failures != 0 {
		t.Errorf("the window stays: %+v, want what was chosen before", a)
	}
	moved := w
	moved.End = w.End.Add(-45 * time.Minute)
	if a := kept.updated("f", moved, now); !a.Chosen.Before(moved.End) {
		t.Errorf("the window moved: chosen %v, want it before %v", a.Chosen, moved.End)
	}
	if a := kept.updated("g", w, now); a.Chosen.Equal(kept.Chosen) {
		t.Error("another certificate has the instant of the one before") // within a second, by a chance of one in 3,600
	}
	narrow := SuggestedWindow{Start: now.Add(999 * time.Millisecond), End: now.Add(time.Second)}
	if a := kept.updated("f", narrow, now); a.Chosen.Before(narrow.Start) || a.Chosen.After(narrow.End) {
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
		a := kept.updated("f", tt.w, now)
		if !a.Chosen.IsZero() || !a.Start.IsZero() || a.Next.Sub(now) != tt.next {
			t.Errorf("%s: %+v, want no window and %v", tt.name, a, tt.next)
		}
	}
}

func TestAdviceMissed(t *testing.T) {
	a := RenewalInfo{Fingerprint: "f", Chosen: now.Add(day)}
	for i, want := range []time.Duration{time.Minute, 10 * time.Minute, 100 * time.Minute, 6 * time.Hour, 6 * time.Hour} {
		a = a.failed("f", moment{errors.New("no\nanswer")}, now)
		if got := a.Next.Sub(now); got < want || got > jitterless(want) || a.Failures != i+1 || a.Error != "no; answer" {
			t.Errorf("failure %d: %+v, want to ask after %v", i, a, want)
		}
	}
	if !a.Chosen.Equal(now.Add(day)) {
		t.Error("what was heard before is forgotten")
	}
	if a := a.failed("g", errors.New("nonsense"), now); !a.Chosen.IsZero() || a.Next.Sub(now) < 6*time.Hour {
		t.Errorf("nonsense about another certificate: %+v", a)
	}
	if a := a.failed("f", limited{now.Add(2 * time.Hour)}, now); a.Next.Sub(now) < 2*time.Hour || a.Next.Sub(now) > jitterless(2*time.Hour) {
		t.Errorf("asks after %v, want the two hours the CA said", a.Next.Sub(now))
	}
}

// A window is asked for right after the order, then as the CA wants, and the
// certificate is replaced at the very instant chosen, in one order.
func TestAdvisedRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		asked := 0
		w.suggest = func(_ string, leaf *x509.Certificate) (SuggestedWindow, error) {
			asked++
			start := leaf.NotBefore.Add(5 * day)
			return SuggestedWindow{Start: start, End: start.Add(3 * time.Hour), Next: time.Now().Add(6 * time.Hour)}, nil
		}
		r := w.report(t.Context(), Scheduled, chat)
		if asked != 1 {
			t.Fatalf("asked %d times after the order", asked)
		}
		w.pass(t.Context(), Scheduled, chat)
		if asked != 1 {
			t.Errorf("asked %d times at once", asked)
		}
		began := time.Now()
		for len(w.obtained) < 2 {
			wait := time.Until(r.Next["chat"])
			if wait <= 0 || wait > 6*time.Hour {
				t.Fatalf("to be looked at again after %v", wait)
			}
			time.Sleep(wait)
			r = w.report(t.Context(), Scheduled, chat)
		}
		s, err := loadState(w.store, "chat")
		must(t, err)
		if at := time.Since(began); at < 5*day || at > 5*day+3*time.Hour || asked > 24 {
			t.Errorf("replaced after %v, asked %d times; next %v", at, asked, s.Record.RenewalInfo)
		}
	})
}

// One CA that cannot answer is not asked about every certificate.
func TestDeafCA(t *testing.T) {
	w := newWorld(t)
	asked := 0
	w.suggest = func(string, *x509.Certificate) (SuggestedWindow, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		asked++
		return SuggestedWindow{}, moment{errors.New("timed out")}
	}
	_, errs := w.pass(t.Context(), Scheduled, named("a", "b", "c", "d", "e", "f", "g", "h", "i", "j")...)
	if wantErrors(t, errs); asked > 4 { // Parallel
		t.Errorf("asked %d times", asked)
	}
}

// A CA that takes its time holds up a pass for about a minute, and all are asked
// about in the end.
func TestSlowCA(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var names []string
		for i := range 30 {
			names = append(names, fmt.Sprint("t", i))
		}
		all := named(names...)
		w.pass(t.Context(), Scheduled, all...)
		asked := map[string]bool{}
		w.suggest = func(_ string, leaf *x509.Certificate) (SuggestedWindow, error) {
			time.Sleep(19 * time.Second)
			w.mu.Lock()
			defer w.mu.Unlock()
			asked[leaf.DNSNames[0]] = true
			return SuggestedWindow{Next: time.Now().Add(6 * time.Hour)}, nil
		}
		for range 3 {
			began := time.Now()
			r := w.report(t.Context(), Scheduled, all...)
			if took := time.Since(began); took > 80*time.Second {
				t.Errorf("a pass took %v", took)
			}
			for name, at := range r.Next {
				if !asked[name+".test"] && time.Until(at) > time.Minute {
					t.Errorf("%s is asked about after %v", name, time.Until(at))
				}
			}
		}
		if len(asked) != len(all) {
			t.Errorf("%d were asked about, want %d", len(asked), len(all))
		}
	})
}

// The first certificate does not wait for what a CA says of others.
func TestFirstCertificateGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.pass(t.Context(), Scheduled, named("old")...)
		w.suggest = func(string, *x509.Certificate) (SuggestedWindow, error) {
			time.Sleep(19 * time.Second)
			return SuggestedWindow{Next: time.Now().Add(6 * time.Hour)}, nil
		}
		began := time.Now()
		w.obtain = func(context.Context, Target) error {
			if wait := time.Since(began); wait > 0 {
				t.Errorf("it is ordered after %v", wait)
			}
			return nil
		}
		w.pass(t.Context(), Scheduled, named("old", "new")...)
		for _, name := range []string{"old", "new"} {
			if r, err := LoadRecord(w.store, name); err != nil || r.RenewalInfo.Next.IsZero() {
				t.Errorf("%s was not asked about: %+v, %v", name, r.RenewalInfo, err)
			}
		}
	})
}
