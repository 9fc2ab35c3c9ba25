package renew

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"keypaird/renew/renewalinfo"
)

// moment is an error that passes.
type moment struct{ error }

func (moment) Temporary() bool { return true }

// A window is asked for right after the order, then as the CA wants, and the
// certificate is replaced at the very instant chosen, in one order.
func TestAdvisedRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		asked := 0
		w.suggest = func(_ string, leaf *x509.Certificate) (renewalinfo.SuggestedWindow, error) {
			asked++
			start := leaf.NotBefore.Add(5 * day)
			return renewalinfo.SuggestedWindow{Start: start, End: start.Add(3 * time.Hour), Next: time.Now().Add(6 * time.Hour)}, nil
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

// A CA is asked about a new certificate while others are ordered, so that the answer is
// written with what is known after the deployment.
func TestAskedWhileOthersOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		began := time.Now()
		w.obtain = func(_ context.Context, target Target) error {
			if target.Name == "b" {
				time.Sleep(10 * time.Second)
			}
			return nil
		}
		w.suggest = func(_ string, leaf *x509.Certificate) (renewalinfo.SuggestedWindow, error) {
			if took := time.Since(began); leaf.DNSNames[0] == "a.test" && took > time.Second {
				t.Errorf("asked about a after %v", took)
			}
			return renewalinfo.SuggestedWindow{Next: time.Now().Add(6 * time.Hour)}, nil
		}
		if _, errs := w.pass(t.Context(), Scheduled, named("a", "b")...); len(errs) > 0 {
			t.Error(errs)
		}
	})
}

// One CA that cannot answer is not asked about every certificate.
func TestDeafCA(t *testing.T) {
	w := newWorld(t)
	asked := 0
	w.suggest = func(string, *x509.Certificate) (renewalinfo.SuggestedWindow, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		asked++
		return renewalinfo.SuggestedWindow{}, moment{errors.New("timed out")}
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
		w.suggest = func(_ string, leaf *x509.Certificate) (renewalinfo.SuggestedWindow, error) {
			time.Sleep(19 * time.Second)
			w.mu.Lock()
			defer w.mu.Unlock()
			asked[leaf.DNSNames[0]] = true
			return renewalinfo.SuggestedWindow{Next: time.Now().Add(6 * time.Hour)}, nil
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
		w.suggest = func(string, *x509.Certificate) (renewalinfo.SuggestedWindow, error) {
			time.Sleep(19 * time.Second)
			return renewalinfo.SuggestedWindow{Next: time.Now().Add(6 * time.Hour)}, nil
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

// Where the record that named the issuer was lost, each CA is asked in turn until one
// knows the certificate: a mass revocation is not missed.
func TestIssuerOfLostRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		two := target(func(t *Target) { t.Issuers = cas("le", "zerossl") })
		w.pass(t.Context(), Scheduled, two)
		must(t, w.store.RemoveAll(two.Name, "record.json"))
		var asked []string
		w.suggest = func(ca string, leaf *x509.Certificate) (renewalinfo.SuggestedWindow, error) {
			asked = append(asked, ca)
			next := time.Now().Add(6 * time.Hour)
			if ca == "le" {
				return renewalinfo.SuggestedWindow{Next: next}, nil
			}
			return renewalinfo.SuggestedWindow{Start: time.Now().Add(-time.Hour), End: time.Now().Add(time.Minute), Next: next}, nil
		}
		for range 3 {
			r := w.report(t.Context(), Scheduled, two)
			time.Sleep(time.Until(r.Next[two.Name]))
		}
		if len(asked) < 2 || asked[0] != "le" || asked[1] != "zerossl" {
			t.Errorf("asked %q", asked)
		}
		if len(w.obtained) != 2 {
			t.Errorf("%d orders, want another one within the window", len(w.obtained))
		}
	})
}
