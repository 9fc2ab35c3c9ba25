package renew

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// A reload makes a server load the files of all targets: what somebody left of those
// that are not due is put right in the same deployment, and the others are left alone.
func TestFilesBesideAreMended(t *testing.T) {
	w := newWorld(t)
	all := named("a", "b", "c")
	w.pass(t.Context(), Scheduled, all...)
	w.deployed = nil
	w.specs = map[string]DeploySpec{"b": {Signature: "touched", Inspection: Inspection{Differs: "/etc/b.pem is empty"}}}
	p := Pass{Store: w.store, Beside: func() []Target { return w.bind(all[1:]...) }, Log: w.log}
	if p.Run(t.Context(), w.bind(all[:1]...)); len(w.deployed) > 0 {
		t.Errorf("deployed %q though nothing is due", w.names())
	}
	must(t, w.store.Remove("a"))
	r := p.Run(t.Context(), w.bind(all[:1]...))
	got := w.names()
	slices.Sort(got)
	if len(w.deployed) != 1 || !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("deployed %q in %d calls, want a and b in one", got, len(w.deployed))
	}
	if _, planned := r.Next["b"]; !planned || len(r.Targets) != 2 {
		t.Errorf("next: %v, %d targets, want a and b", r.Next, len(r.Targets))
	}
}

// A target that is forced by name leaves the others with the certificates that they have.
func TestFilesBesideAreNotForced(t *testing.T) {
	w := newWorld(t)
	all := named("a", "b", "c")
	w.pass(t.Context(), Scheduled, all[:2]...)
	w.deployed, w.obtained = nil, nil
	w.specs = map[string]DeploySpec{"b": {Signature: "touched", Inspection: Inspection{Differs: "/etc/b.pem is empty"}}}
	p := Pass{Store: w.store, Mode: Force, Beside: func() []Target { return w.bind(all[1:]...) }, Log: w.log}
	r := p.Run(t.Context(), w.bind(all[:1]...))
	got := w.names()
	slices.Sort(got)
	if len(w.obtained) != 1 || !slices.Equal(got, []string{"a", "b"}) || len(r.Errs) > 0 {
		t.Errorf("ordered %v, deployed %q, %v; want one order, a and b", w.obtained, got, r.Errs)
	}
}

// names lists the targets of all deployments.
func (w *world) names() (list []string) {
	for _, changes := range w.deployed {
		for _, c := range changes {
			list = append(list, c.Name)
		}
	}
	return list
}

// The newest version is lost, and its files are deployed as they were: it is taken from
// there, and nothing is ordered.
func TestNewestLostIsStillDeployed(t *testing.T) {
	w := newWorld(t)
	targets := named("a")
	w.pass(t.Context(), Scheduled, targets...)
	w.pass(t.Context(), Force, targets...)
	newest, err := w.store.Newest("a")
	must(t, err)
	s, err := LoadState(w.store, w.bind(targets...)[0])
	must(t, err)
	signature := s.Record.Deployments["relayd"].Signature
	w.specs = map[string]DeploySpec{"a": {Signature: signature, Inspection: Inspection{Differs: "newer", Newer: newest.Pair}}}
	must(t, os.RemoveAll(newest.Dir))
	must(t, os.Remove(filepath.Join(filepath.Dir(newest.Dir), "live")))
	_, errs := w.pass(t.Context(), Scheduled, targets...)
	wantErrors(t, errs)
	if got, err := w.store.Live("a"); err != nil || got.Pair.Fingerprint() != newest.Pair.Fingerprint() || len(w.obtained) != 2 {
		t.Errorf("live is %s, %v after %d orders, want the deployed one after 2", got.ID, err, len(w.obtained))
	}
}
