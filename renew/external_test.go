package renew

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keypaird/renew/keypair"
	"keypaird/renew/keypair/pairtest"
	"keypaird/renew/renewalinfo"
)

// A shop has the two files of an external certificate.
type shop struct{ *pairtest.Files }

func newShop(t testing.TB) *shop { return &shop{pairtest.NewFiles(t)} }

// target is the bought one as it is now.
func (s *shop) target() Target {
	return Target{Name: "shop", Deploy: deployments("relayd"), Issuers: []Issuer{&External{s.Source, "shop"}}}
}

// live checks which pair is live.
func (w *world) live(t *testing.T, want *keypair.Pair) {
	t.Helper()
	v, err := w.store.Live("shop")
	must(t, err)
	if v.Pair.Fingerprint() != want.Fingerprint() {
		t.Errorf("%s is live, which is another pair", v.ID)
	}
}

// A bought pair is taken when it is whole, deployed, and nothing is ordered. Half
// of its successor changes nothing; with the other half, it is taken without a
// wait.
func TestExternalReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newWorld(t), newShop(t)
		w.suggest = func(string, *x509.Certificate) (renewalinfo.SuggestedWindow, error) {
			return renewalinfo.SuggestedWindow{}, errors.New("asked")
		}
		first := s.Issue(90*day, "shop.test", "*.shop.test")
		done, errs := w.pass(t.Context(), Scheduled, s.target())
		wantErrors(t, errs)
		if len(done) != 1 || done[0].Action != Issue || done[0].CA != NameOfExternal || !done[0].NotAfter.Equal(first.Leaf.NotAfter) {
			t.Errorf("done = %+v", done)
		}
		if c := w.deployed[0][0]; len(c.Names) != 0 || strings.Join(keypair.Names(c.New.Leaf), " ") != "*.shop.test shop.test" {
			t.Errorf("deployed for the names %q", c.Names)
		}
		w.live(t, first)
		done, errs = w.pass(t.Context(), Manual, s.target())
		wantErrors(t, errs)
		if len(done) != 0 || w.counts() != [2]int{0, 1} {
			t.Errorf("second pass: %+v, counts %v", done, w.counts())
		}

		time.Sleep(70 * day) // little time is left, as always when somebody buys another
		second, err := issue([]string{"shop.test", "*.shop.test"}, time.Now(), 90*day)
		must(t, err)
		s.Write(s.Chain, second.FullChain())
		_, errs = w.pass(t.Context(), Scheduled, s.target())
		wantErrors(t, errs, `cert "shop": importing its files: `+s.Key+": is not the key of the certificate in "+s.Chain)
		w.live(t, first)
		_, errs = w.pass(t.Context(), Scheduled, s.target())
		wantErrors(t, errs)
		s.Write(s.Key, second.Key())
		done, errs = w.pass(t.Context(), Scheduled, s.target())
		wantErrors(t, errs)
		if len(done) != 1 || done[0].Why != "its files changed" {
			t.Errorf("done = %+v", done)
		}
		w.live(t, second)
		if r, err := LoadRecord(w.store, "shop"); err != nil || r.Fingerprint != second.Fingerprint() || r.External != (Imported{Mark: s.Mark(), ReplacedAt: time.Now().UTC()}) {
			t.Errorf("record %+v, %v", r.External, err)
		}
		if w.counts() != [2]int{0, 2} {
			t.Errorf("counts %v", w.counts())
		}
	})
}

// The same certificate with another chain, an intermediate that was forgotten, is
// deployed as well, whatever is lost when the process dies: before the chain is
// stored, the record says that it is not deployed.
func TestExternalOtherChain(t *testing.T) {
	w, s := newWorld(t), newShop(t)
	p := s.Issue(90*day, "shop.test")
	s.Write(s.Chain, p.Cert())
	w.pass(t.Context(), Scheduled, s.target())
	s.Write(s.Chain, p.FullChain())
	var steps []string
	step := func(_, step string) {
		steps = append(steps, step)
		r, err := LoadRecord(w.store, "shop")
		must(t, err)
		if d := r.Deployments["relayd"]; step == "storing" && (d.Deployed != "" || d.Verified != "") {
			t.Errorf("when it is stored, the record says %+v", d)
		}
	}
	pass := Pass{Store: w.store, Log: w.log, Step: step}
	r := pass.Run(t.Context(), w.bind(s.target()))
	done, errs := r.Done, r.Errs
	wantErrors(t, errs)
	if !slices.Contains(steps, "storing") {
		t.Errorf("steps = %q", steps)
	}
	if len(done) != 1 || len(w.deployed) != 2 || !bytes.Equal(w.deployed[1][0].New.FullChain(), p.FullChain()) {
		t.Errorf("done %+v, %d deployments", done, len(w.deployed))
	}
	v, err := w.store.Live("shop")
	must(t, err)
	if v.ID != "v000002" || !bytes.Equal(v.Pair.FullChain(), p.FullChain()) {
		t.Errorf("live is %s", v.ID)
	}
	done, errs = w.pass(t.Context(), Manual, s.target())
	wantErrors(t, errs)
	if len(done) != 0 {
		t.Errorf("done again: %+v", done)
	}
}

// A process that dies between storing a pair and recording it reads the files
// again, and deploys what it finds stored.
func TestExternalKilled(t *testing.T) {
	w, s := newWorld(t), newShop(t)
	s.Issue(90*day, "shop.test")
	w.pass(t.Context(), Scheduled, s.target())
	p := s.Issue(90*day, "shop.test")
	_, err := w.store.Add("shop", p)
	must(t, err)
	done, errs := w.pass(t.Context(), Scheduled, s.target())
	wantErrors(t, errs)
	if len(done) != 1 || done[0].Action != Deploy {
		t.Errorf("done = %+v", done)
	}
	w.live(t, p)
	if v, err := w.store.Live("shop"); err != nil || v.ID != "v000002" {
		t.Errorf("live is %s, %v", v.ID, err)
	}
}

// A deployment that fails goes back to the pair before, and is tried again
// without another look at the files.
func TestExternalRolledBack(t *testing.T) {
	w, s := newWorld(t), newShop(t)
	first := s.Issue(90*day, "shop.test")
	w.pass(t.Context(), Scheduled, s.target())
	second := s.Issue(90*day, "shop.test", "more.shop.test")
	w.deploy = func(context.Context, string, []Change) ([]Outcome, error) {
		return []Outcome{RolledBack}, errors.New("no such proxy")
	}
	target := s.target()
	_, errs := w.pass(t.Context(), Scheduled, target)
	wantErrors(t, errs, "deploying to relayd: no such proxy")
	w.live(t, first)
	w.deploy = nil
	done, errs := w.pass(t.Context(), Manual, target)
	wantErrors(t, errs)
	if len(done) != 1 || done[0].Action != Deploy {
		t.Errorf("done = %+v", done)
	}
	w.live(t, second)
}

// Files that two programs write in turn are taken once a minute, not each time;
// what is there when they rest is taken.
func TestExternalFlaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newWorld(t), newShop(t)
		pairs := []*keypair.Pair{s.Issue(90*day, "shop.test"), s.Issue(90*day, "shop.test")}
		var r Report
		for i := range 25 { // two minutes
			p := pairs[i%2]
			s.Write(s.Chain, p.FullChain())
			s.Write(s.Key, p.Key())
			r = w.report(t.Context(), Scheduled, s.target())
			wantErrors(t, r.Errs)
			time.Sleep(5 * time.Second)
		}
		if got := w.counts(); got != [2]int{0, 3} { // the first, its successor at once, one after a minute
			t.Errorf("counts %v", got)
		}
		time.Sleep(time.Until(r.Next["shop"]))
		w.report(t.Context(), Scheduled, s.target())
		w.live(t, pairs[0])
	})
}
