package renew

import (
	"context"
	"crypto/x509"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"keypaird/renew/keypair"
	"keypaird/renew/renewalinfo"
	"keypaird/renew/seen"
)

// What is stored is deployed again from the start, and no CA is asked for anything.
func TestRedeploy(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before func(t *testing.T, w *world)
		target func(*Target)
		calls  int    // of the deployment, in the redeployment
		why    string // of what was done; "": nothing was
		err    string
	}{
		{"verified", nil, nil, 1, "asked for", ""},
		{"due for months", func(*testing.T, *world) { time.Sleep(80 * day) }, nil, 1, "asked for", ""},
		{"a deployment that failed and waits", func(t *testing.T, w *world) {
			w.deploy = reloadFails
			w.pass(t.Context(), Force, chat)
			w.deploy = nil
		}, nil, 1, "stored but not deployed", ""},
		{"it fails", func(_ *testing.T, w *world) { w.deploy = reloadFails }, nil, 1, "", "deploying to relayd"},
		{"ended", func(*testing.T, *world) { time.Sleep(91 * day) }, nil, 0, "", "deploying: the stored certificate has ended"},
		{"nothing stored", nil, func(t *Target) { t.Name = "other" }, 0, "", ""},
		{"no deployment", nil, func(t *Target) { t.Deploy = nil }, 0, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				_, errs := w.pass(t.Context(), Scheduled, chat)
				wantErrors(t, errs)
				if tt.before != nil {
					tt.before(t, w)
				}
				w.suggest = func(string, *x509.Certificate) (renewalinfo.SuggestedWindow, error) {
					t.Error("a CA was asked for renewal information")
					return renewalinfo.SuggestedWindow{}, errors.New("down")
				}
				w.obtain = func(context.Context, Target) error { t.Error("a CA was asked for a certificate"); return nil }
				again := chat
				if tt.target != nil {
					tt.target(&again)
				}
				calls := len(w.deployed)
				done, errs := w.pass(t.Context(), Redeploy, again)
				if tt.err != "" {
					wantErrors(t, errs, tt.err)
				} else {
					wantErrors(t, errs)
				}
				if got := len(w.deployed) - calls; got != tt.calls || got > 0 && w.deployed[calls][0].Deployed {
					t.Errorf("deployed %d times, want %d, from the start", got, tt.calls)
				}
				if tt.why == "" && len(done) > 0 || tt.why != "" && (len(done) != 1 || done[0].Why != tt.why || done[0].Action != Deploy) {
					t.Errorf("done %+v, want %q", done, tt.why)
				}
			})
		})
	}
}

// A pair that was verified while an endpoint served none of its names is deployed again
// with the same endpoints.
func TestRedeployAbsent(t *testing.T) {
	for state, want := range map[string]bool{seen.Served: false, seen.Absent: true} {
		w := newWorld(t)
		w.results = []Result{{Outcome: Verified, Endpoints: map[string]seen.Endpoint{"127.0.0.1:443": {State: seen.Served}, "127.0.0.1:5269": {State: state}}}}
		w.pass(t.Context(), Scheduled, chat)
		w.pass(t.Context(), Redeploy, chat)
		if len(w.deployed) != 2 || w.deployed[1][0].WasVerified != want {
			t.Errorf("%s before: deployed %v, want WasVerified %v", state, w.deployed, want)
		}
	}
}

// A newer pair that is deployed is kept, not replaced by the older one that is stored.
func TestRedeployKeepsNewer(t *testing.T) {
	w := newWorld(t)
	w.pass(t.Context(), Scheduled, chat)
	newer, err := issue(chat.Names, time.Now().Add(time.Hour), 90*day)
	must(t, err)
	found := DeploySpec{Signature: "touched", Inspection: Inspection{Newer: newer, Differs: "/x.crt has a newer certificate"}}
	_, errs := w.pass(t.Context(), Redeploy, withSpec(found))
	wantErrors(t, errs)
	var v keypair.Version
	if v, err = w.store.Newest("chat"); err != nil || v.Pair.Fingerprint() != newer.Fingerprint() {
		t.Errorf("stored %s, %v, want the newer pair", v.ID, err)
	}
	if n := len(w.deployed); n != 2 || w.deployed[1][0].New.Fingerprint() != newer.Fingerprint() {
		t.Errorf("deployed %d times, want the newer pair the second time", n)
	}
}
