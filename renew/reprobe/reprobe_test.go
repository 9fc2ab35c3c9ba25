package reprobe

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"keypaird/renew"
	"keypaird/renew/keypair"
	"keypaird/renew/keypair/pairtest"
	"keypaird/renew/renewtest"
	"keypaird/renew/seen"
)

// A world has targets that one server uses, and a clock.
type world struct {
	pass    *renew.Pass
	targets []renew.Target
	now     time.Time
	bad     map[string]bool // targets that are not served
	reloads int
	probed  int // targets, in the last pass
}

var errOther = errors.New("127.0.0.1:443 serves another certificate")

func newWorld(t *testing.T, n int) *world {
	t.Helper()
	store, err := keypair.Open(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	w := &world{now: time.Now().UTC().Truncate(time.Second), bad: map[string]bool{}}
	w.pass = &renew.Pass{Store: store, Clock: func() time.Time { return w.now }, Log: slog.New(slog.DiscardHandler)}
	pair, err := pairtest.Issue([]string{"example.org"}, w.now.Add(-time.Hour), 90*24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	server := &renewtest.Server{Name: "web", Served: []string{"127.0.0.1:443"}}
	result := func(c renew.Change) renew.Result {
		if w.bad[c.Name] {
			return renew.Result{Outcome: renew.Reloaded, Err: errOther, Endpoints: map[string]seen.Endpoint{"127.0.0.1:443": {State: seen.Failing, At: w.now, Error: errOther.Error()}}}
		}
		return renew.Result{Endpoints: map[string]seen.Endpoint{"127.0.0.1:443": {State: seen.Served, At: w.now}}}
	}
	each := func(changes []renew.Change) (list []renew.Result) {
		for _, c := range changes {
			list = append(list, result(c))
		}
		return list
	}
	server.Use = func(changes []renew.Change) []renew.Result {
		w.reloads++
		return each(changes)
	}
	server.Seen = func(changes []renew.Change) []renew.Result {
		w.probed += len(changes)
		return each(changes)
	}
	for i := range n {
		name := fmt.Sprintf("cert%d", i)
		if err := store.Make(name); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Add(name, pair); err != nil {
			t.Fatal(err)
		}
		w.targets = append(w.targets, renew.Target{Name: name, Names: []string{"example.org"}, KeyType: keypair.KeyType(pair.Leaf.PublicKey), Issuers: renewtest.CAs("ca"), Deploy: []renew.Deployer{server}})
	}
	return w
}

// run makes a pass after a time.
func (w *world) run(t *testing.T, after time.Duration) renew.Report {
	t.Helper()
	w.now = w.now.Add(after)
	w.probed = 0
	return Run(t.Context(), w.pass, w.targets)
}

func (w *world) deployment(r renew.Report, i int) renew.Deployment {
	return r.Targets[i].State.Record.Deployments["web"]
}

// What is not served any more is reloaded once, fails, and is seen when it is back.
func TestLostAndServedAgain(t *testing.T) {
	w := newWorld(t, 1)
	r := w.run(t, 0)
	if w.reloads != 1 || w.probed != 0 || w.deployment(r, 0).Verified == "" {
		t.Fatalf("first pass: %d reloads, %d probes, %v", w.reloads, w.probed, r.Errs)
	}
	next := r.Next["cert0"]
	if !next.After(w.now) || next.After(w.now.Add(24*time.Hour)) {
		t.Errorf("next pass at %v, now is %v", next, w.now)
	}
	if w.run(t, time.Second); w.probed != 0 {
		t.Error("probed before its time")
	}
	if w.run(t, next.Sub(w.now)); w.probed != 1 || w.reloads != 1 {
		t.Errorf("daily: %d probes, %d reloads", w.probed, w.reloads)
	}

	w.bad["cert0"] = true
	w.pass.Mode = renew.Manual
	r = w.run(t, time.Minute)
	since := w.now
	d := w.deployment(r, 0)
	if w.probed != 1 || w.reloads != 2 || d.Verified != "" || d.Deployed == "" || !d.LostAt.Equal(since) || d.Attempt.Failures != 1 || len(r.Errs) != 1 || !errors.Is(r.Errs[0], errOther) {
		t.Fatalf("lost: %d probes, %d reloads, %+v, %v", w.probed, w.reloads, d, r.Errs)
	}
	w.pass.Mode = renew.Scheduled
	if r = w.run(t, time.Second); w.reloads != 2 {
		t.Error("reloaded again before its time")
	}

	w.bad["cert0"] = false
	w.pass.DeployWindow = func(now time.Time) time.Time { return now.Add(time.Hour) } // no deployment follows
	r = w.run(t, time.Hour)
	if d = w.deployment(r, 0); w.reloads != 2 || d.Verified == "" || !d.LostAt.IsZero() || d.Attempt.Failures != 0 || len(r.Errs) != 0 {
		t.Errorf("served again: %d reloads, %+v, %v", w.reloads, d, r.Errs)
	}
}

// A server that is stopped cannot be reloaded. When it is started again, that is seen
// within an hour or so, though the next deployment may be due a day later.
func TestStoppedAndStarted(t *testing.T) {
	w := newWorld(t, 1)
	r := w.run(t, 0)
	server := w.targets[0].Deploy[0].(*renewtest.Server)
	use := server.Use
	server.Use = func(changes []renew.Change) []renew.Result {
		return []renew.Result{{Outcome: renew.Installed, Err: errors.New("not running")}}
	}
	w.bad["cert0"] = true
	r = w.run(t, r.Next["cert0"].Sub(w.now))
	w.pass.Mode = renew.Manual
	for range 6 {
		r = w.run(t, time.Second)
	}
	w.pass.Mode = renew.Scheduled
	if d := w.deployment(r, 0); d.Deployed != "" || d.LostAt.IsZero() || d.Attempt.Next.Sub(w.now) < 12*time.Hour {
		t.Fatalf("stopped: %+v", d)
	}
	server.Use, w.bad["cert0"] = use, false
	reloads := w.reloads
	if next := r.Next["cert0"]; next.After(w.now.Add(time.Hour)) {
		t.Errorf("next pass at %v, now is %v", next, w.now)
	}
	r = w.run(t, time.Hour)
	if d := w.deployment(r, 0); d.Verified == "" || d.Deployed == "" || !d.LostAt.IsZero() || d.Attempt.Failures > 0 || w.reloads != reloads {
		t.Errorf("started again: %+v", d)
	}
	if next := r.Next["cert0"]; next.After(w.now.Add(24 * time.Hour)) {
		t.Errorf("next probe at %v, now is %v", next, w.now)
	}
}

// What may not be deployed yet fails meanwhile.
func TestLostOutsideTheWindow(t *testing.T) {
	w := newWorld(t, 1)
	r := w.run(t, 0)
	w.bad["cert0"] = true
	w.pass.DeployWindow = func(now time.Time) time.Time { return now.Add(time.Hour) }
	r = w.run(t, r.Next["cert0"].Sub(w.now))
	if d := w.deployment(r, 0); w.reloads != 1 || d.Verified != "" || d.Attempt.Failures != 1 {
		t.Errorf("%d reloads, %+v", w.reloads, d)
	}
}

// After a week without a pass, not all are probed at once, and each is in time.
func TestProbesAreBounded(t *testing.T) {
	w := newWorld(t, maxProbes+10)
	w.run(t, 0)
	if w.run(t, 7*24*time.Hour); w.probed != maxProbes {
		t.Errorf("%d probes in the first pass, want %d", w.probed, maxProbes)
	}
	if w.run(t, time.Minute); w.probed < 10 || w.probed > 30 {
		t.Errorf("%d probes in the second pass, want those left", w.probed)
	}
	w.pass.Mode = renew.Manual
	if w.run(t, time.Minute); w.probed != maxProbes+10 {
		t.Errorf("%d probes by hand, want all", w.probed)
	}
}

// BenchmarkIdle is what is added to a pass over 10,000 targets of which none is due.
func BenchmarkIdle(b *testing.B) {
	server := &renewtest.Server{Name: "web", Served: []string{"127.0.0.1:443"}}
	now := time.Now()
	r := &run{Pass: &renew.Pass{Clock: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)}}
	r.report.Next = map[string]time.Time{}
	for i := range 10000 {
		t := renew.TargetState{Target: renew.Target{Name: fmt.Sprintf("cert%d", i), Deploy: []renew.Deployer{server}}}
		t.State.Leaf, t.State.Fingerprint = new(x509.Certificate), "x"
		t.State.Record.Deployments = map[string]renew.Deployment{"web": {Deployed: "x", Verified: "x", Record: seen.Record{ProbedAt: now}}}
		r.report.Targets = append(r.report.Targets, t)
		r.report.Next[t.Name] = now.Add(time.Hour)
	}
	for b.Loop() {
		r.probeDue(b.Context())
		if len(r.targetsAgain()) > 0 || len(r.lost) > 0 {
			b.Fatal("something was probed")
		}
		r.scheduleProbes()
	}
}
