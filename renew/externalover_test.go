package renew

import (
	"context"
	"crypto/x509"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keypaird/renew/renewalinfo"
)

// The day the target is given a proof, what was bought is used until it is due;
// for other names, or another type of key, until there is something else. No CA
// is asked about what it did not issue, or told that it is replaced.
func TestExternalTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newWorld(t), newShop(t)
		w.suggest = func(ca string, leaf *x509.Certificate) (renewalinfo.SuggestedWindow, error) {
			if leaf.NotAfter.Sub(leaf.NotBefore) != 90*day {
				t.Error("a CA was asked about what it did not issue")
			}
			return renewalinfo.SuggestedWindow{}, nil
		}
		w.obtain = func(context.Context, Target) error { return errors.New("down") }
		bought := s.Issue(200*day, "shop.test")
		w.pass(t.Context(), Scheduled, s.target())
		proven := named("shop")[0]
		for _, mode := range []Mode{Scheduled, Manual} {
			done, errs := w.pass(t.Context(), mode, proven)
			wantErrors(t, errs)
			if len(done) != 0 || w.counts() != [2]int{0, 1} {
				t.Errorf("with the same names: done %+v, counts %v", done, w.counts())
			}
		}
		more := proven
		more.Names = []string{"shop.test", "more.shop.test"}
		_, errs := w.pass(t.Context(), Scheduled, more)
		wantErrors(t, errs, "obtaining: down")
		w.live(t, bought)
		time.Sleep(134 * day) // less than a third is left
		_, errs = w.pass(t.Context(), Scheduled, proven)
		wantErrors(t, errs, "obtaining: down")
		w.live(t, bought)
		time.Sleep(day)
		w.obtain = nil
		done, errs := w.pass(t.Context(), Scheduled, proven)
		wantErrors(t, errs)
		if len(done) != 1 || done[0].Why != "due" || done[0].CA != "le" {
			t.Errorf("done = %+v", done)
		}

		// And back: the old files are there still.
		done, errs = w.pass(t.Context(), Scheduled, s.target())
		wantErrors(t, errs)
		if len(done) != 1 || done[0].Why != "replaced by an external certificate" {
			t.Errorf("done = %+v", done)
		}
		w.live(t, bought)
	})
}

// What is ordered after a takeover replaces nothing that the CA knows.
func TestExternalReplacesNothing(t *testing.T) {
	w, s := newWorld(t), newShop(t)
	s.Issue(200*day, "other.test")
	w.pass(t.Context(), Scheduled, s.target())
	w.pass(t.Context(), Scheduled, named("shop")...)
	if len(w.orders) != 1 || w.orders[0].Replaces || w.orders[0].Have == nil {
		t.Errorf("orders = %+v", w.orders)
	}
}

// What can be done about files is said in words of the configuration.
func TestExternalRemedies(t *testing.T) {
	s := newShop(t)
	s.Issue(90*day, "shop.test")
	x := s.target().External()
	for _, tt := range []struct {
		name string
		do   func()
		at   time.Time
		want string
	}{
		{"expired", func() {}, time.Now().Add(91 * day), "put its successor and that one's key into " + s.Chain + " and " + s.Key + ", or have keypaird obtain one: "},
		{"not valid yet", func() {}, time.Now().Add(-day), "see that the clock of this machine is right"},
		{"open", func() { must(t, os.Chmod(s.Key, 0o644)) }, time.Now(), "chmod o= " + s.Key},
		{"gone", func() { must(t, os.Remove(s.Key)) }, time.Now(), "put it there, or correct external in the configuration"},
	} {
		tt.do()
		_, err := x.Read(tt.at)
		if err == nil || !strings.HasPrefix(Remedy(err), tt.want) {
			t.Errorf("%s: %v: remedy %q, want %q", tt.name, err, Remedy(err), tt.want)
		}
	}
}
