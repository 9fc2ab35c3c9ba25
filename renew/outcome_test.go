package renew

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// gets is a proxy for which deployments end as outcomes say, by name of the
// deployment.
func (w *world) gets(outcomes map[string]Outcome) {
	w.deploy = func(_ context.Context, name string, changes []Change) ([]Outcome, error) {
		if outcomes[name] == Verified {
			return nil, nil
		}
		all := make([]Outcome, len(changes))
		for i := range all {
			all[i] = outcomes[name]
		}
		return all, errReload
	}
}

// Live is what is in use: the new version where something uses it or may, the
// one before where all went back to that.
func TestLiveAfterFailedRenewal(t *testing.T) {
	for _, tt := range []struct {
		name     string
		outcomes map[string]Outcome
		live     string
	}{
		{"all rolled back", map[string]Outcome{"relayd": RolledBack, "postfix": RolledBack}, "v000001"},
		{"one rolled back, the other fine", map[string]Outcome{"relayd": RolledBack, "postfix": Verified}, "v000002"},
		{"one rolled back, the other not verified", map[string]Outcome{"relayd": RolledBack, "postfix": Reloaded}, "v000002"},
		{"one rolled back, of the other nothing is known", map[string]Outcome{"relayd": RolledBack, "postfix": Installed}, "v000002"},
		{"nothing is known", map[string]Outcome{"relayd": Installed, "postfix": Installed}, "v000002"},
		{"all fine", map[string]Outcome{"relayd": Verified, "postfix": Verified}, "v000002"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			both := target(func(t *Target) { t.Deploy = deployments("relayd", "postfix") })
			_, errs := w.pass(t.Context(), Scheduled, both)
			wantErrors(t, errs)
			w.gets(tt.outcomes)
			w.pass(t.Context(), Force, both)
			if id, err := w.store.LiveID("chat"); err != nil || id != tt.live {
				t.Errorf("live is %s, %v; want %s", id, err, tt.live)
			}
			w.gets(map[string]Outcome{"relayd": Verified, "postfix": Verified})
			_, errs = w.pass(t.Context(), Manual, both)
			wantErrors(t, errs)
			if id, err := w.store.LiveID("chat"); err != nil || id != "v000002" || len(w.obtained) != 2 {
				t.Errorf("in the end live is %s, %v, after %d certificates; want v000002 and 2", id, err, len(w.obtained))
			}
		})
	}
}

// A first pair that is taken back has nothing before it: it stays live.
func TestLiveAfterFailedFirstDeployment(t *testing.T) {
	w := newWorld(t)
	w.gets(map[string]Outcome{"relayd": RolledBack})
	w.pass(t.Context(), Scheduled, chat)
	if id, err := w.store.LiveID("chat"); err != nil || id != "v000001" {
		t.Errorf("live is %s, %v; want v000001", id, err)
	}
}

// Targets of one deployment may end differently, and each is recorded as it
// ended.
func TestOutcomesByTarget(t *testing.T) {
	for _, tt := range []struct {
		name     string
		results  []Result
		failed   string
		verified [2]bool
		deployed [2]bool
	}{
		{"one of two seen", []Result{{}, {Outcome: Reloaded, Err: errReload}}, `cert "b": deploying`, [2]bool{true, false}, [2]bool{true, true}},
		{"one of two rolled back", []Result{{Outcome: RolledBack, Err: errReload}, {}}, `cert "a": deploying`, [2]bool{false, true}, [2]bool{false, true}},
		{"an answer that is too short", []Result{{}}, `cert "a", "b": deploying`, [2]bool{}, [2]bool{}},
		{"an error although all are well", []Result{{Outcome: Verified, Err: errReload}, {Outcome: Verified, Err: errReload}}, `cert "a", "b": deploying`, [2]bool{}, [2]bool{}},
		{"no answer", []Result{}, `cert "a", "b": deploying`, [2]bool{}, [2]bool{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.results = tt.results
			_, errs := w.pass(t.Context(), Scheduled, named("a", "b")...)
			wantErrors(t, errs, tt.failed)
			for i, name := range []string{"a", "b"} {
				s, err := loadState(w.store, name)
				must(t, err)
				d := s.Record.Deployments["relayd"]
				if (d.Verified == s.Fingerprint) != tt.verified[i] || (d.Deployed == s.Fingerprint) != tt.deployed[i] || (d.Attempt.Failures == 0) != tt.verified[i] {
					t.Errorf("%s: record = %+v, want verified %v and deployed %v", name, d, tt.verified[i], tt.deployed[i])
				}
			}
		})
	}
}

// A new certificate whose deployment still waits for its backoff does not become
// live before: nothing uses it.
func TestRenewalWhileDeploymentWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		_, errs := w.pass(t.Context(), Scheduled, chat)
		wantErrors(t, errs)
		w.gets(map[string]Outcome{"relayd": RolledBack})
		for range 4 { // until it is tried daily
			w.pass(t.Context(), Force, chat)
		}
		calls := len(w.deployed)
		w.gets(map[string]Outcome{"relayd": Verified})
		other := target(func(t *Target) { t.Names = []string{"new.example.org"} })
		done, errs := w.pass(t.Context(), Scheduled, other)
		wantErrors(t, errs)
		live, err := w.store.Live("chat")
		must(t, err)
		if len(done) != 1 || live.ID != "v000001" || len(w.deployed) != calls {
			t.Errorf("done %+v, live %s, %d deployments; want one certificate and nothing else", done, live.ID, len(w.deployed)-calls)
		}
		time.Sleep(jitterless(day))
		_, errs = w.pass(t.Context(), Scheduled, other)
		wantErrors(t, errs)
		if live, err := w.store.Live("chat"); err != nil || live.Pair.Check(other.Names, time.Now()) != nil || len(w.deployed) != calls+1 {
			t.Errorf("a day later live is %s, %v", live.ID, err)
		}
	})
}

func TestRemedyIsThatOfTheCause(t *testing.T) {
	err := &TargetError{[]string{"a"}, "obtaining", limited{}}
	if Remedy(err) != "wait" || Remedy(errors.New("x")) != "" {
		t.Errorf("remedies = %q, %q", Remedy(err), Remedy(errors.New("x")))
	}
}

// Targets of one deployment may fail for reasons of their own: each is reported
// and recorded with its own.
func TestFailuresByTarget(t *testing.T) {
	lacks, refused := errors.New("lacks a name"), errors.New("refused")
	w := newWorld(t)
	w.results = []Result{{Outcome: RolledBack, Err: lacks}, {Outcome: Verified, Err: nil}, {Outcome: Reloaded, Err: refused}, {Outcome: Reloaded, Err: refused}}
	_, errs := w.pass(t.Context(), Scheduled, named("a", "b", "c", "d")...)
	wantErrors(t, errs, `cert "a": deploying to relayd: lacks a name`, `cert "c", "d": deploying to relayd: refused`)
	w = newWorld(t)
	again := errors.Join(refused) // the same text, another error
	w.results = []Result{{Err: refused}, {Err: errors.New("refused")}, {Err: manyErrors{refused}}, {Err: again}}
	_, errs = w.pass(t.Context(), Scheduled, named("a", "b", "c", "d")...)
	wantErrors(t, errs, `cert "a": deploying to relayd: refused`, `cert "b": deploying to relayd: refused`, `cert "c": deploying to relayd: refused`, `cert "d": deploying to relayd: refused`)
}

// manyErrors is an error type that cannot be compared.
type manyErrors []error

func (m manyErrors) Error() string { return m[0].Error() }

// Each target has the record of its own failure.
func TestFailuresAreRecordedByTarget(t *testing.T) {
	lacks, refused := errors.New("lacks a name"), errors.New("refused")
	w := newWorld(t)
	w.results = []Result{{Outcome: RolledBack, Err: lacks}, {Outcome: Verified, Err: nil}, {Outcome: Reloaded, Err: refused}, {Outcome: Reloaded, Err: refused}}
	w.pass(t.Context(), Scheduled, named("a", "b", "c", "d")...)
	for name, want := range map[string]string{"a": "lacks a name", "b": "", "c": "refused", "d": "refused"} {
		s, err := loadState(w.store, name)
		must(t, err)
		if got := s.Record.Deployments["relayd"].Attempt.Error; got != want {
			t.Errorf("%s: recorded %q, want %q", name, got, want)
		}
	}
}

// A deployment is told when its next try comes at the latest, which is not while
// the window is shut, and whether the pair to go back to was verified.
func TestNextTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.pass(t.Context(), Scheduled, chat)
		time.Sleep(time.Second)
		w.gets(map[string]Outcome{"relayd": RolledBack})
		for range 3 {
			w.pass(t.Context(), Force, chat)
			c := w.deployed[len(w.deployed)-1][0]
			r, err := LoadRecord(w.store, "chat")
			must(t, err)
			next, wait := r.Deployments["relayd"].Attempt.Next, time.Until(c.NextTry)
			if c.NextTry.Before(next) || wait > time.Until(next)*9/8+time.Second || !c.WasVerified {
				t.Errorf("next try at %s, told %s; previous was verified: %t", next, c.NextTry, c.WasVerified)
			}
		}
		p := Pass{Store: w.store, Mode: Force, Log: w.log, DeployWindow: func(at time.Time) time.Time {
			if at.After(time.Now()) {
				return at.Add(time.Hour)
			}
			return time.Time{}
		}}
		p.Run(t.Context(), w.bind(chat))
		if c := w.deployed[len(w.deployed)-1][0]; time.Until(c.NextTry) < time.Hour {
			t.Errorf("next try in %s, want it in the window", time.Until(c.NextTry))
		}
	})
}
