package renew

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// withSpec is chat, deployed as m says.
func withSpec(m DeploySpec) Target {
	return target(func(t *Target) { t.Deploy = deploymentsAs(m, "relayd") })
}

// What is deployed again, in another way or since a file was lost, and fails is
// not taken for done because it once was: it is tried again after its backoff,
// from the start unless only the look at it was missing, and also where the
// configuration is then put back.
func TestDeployedAgainFails(t *testing.T) {
	for _, again := range []struct {
		name        string
		first, then DeploySpec
	}{
		{"in another way", DeploySpec{ConfigHash: "old"}, DeploySpec{ConfigHash: "new"}},
		{"since a file was lost", DeploySpec{ConfigHash: "old"}, DeploySpec{ConfigHash: "old", Inspection: Inspection{Differs: "/x.crt is gone"}}},
	} {
		for _, tt := range []struct {
			name    string
			outcome Outcome
			looks   bool // next time, first
		}{
			{"rolled back", RolledBack, false},
			{"installed, and not reloaded", Installed, false},
			{"in use, and not seen", Reloaded, true},
		} {
			t.Run(again.name+", "+tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					w.pass(t.Context(), Scheduled, withSpec(again.first))
					w.gets(map[string]Outcome{"relayd": tt.outcome})
					_, errs := w.pass(t.Context(), Scheduled, withSpec(again.then))
					wantErrors(t, errs, "deploying to relayd")
					whole := withSpec(DeploySpec{ConfigHash: again.then.ConfigHash}) // the files are there
					s, err := LoadState(w.store, whole)
					must(t, err)
					if d := s.Record.Deployments["relayd"]; s.Done("relayd") || d.Attempt.Failures != 1 {
						t.Errorf("record = %+v, taken for done", d)
					}
					if _, errs = w.pass(t.Context(), Scheduled, whole); len(w.deployed) != 2 {
						t.Errorf("tried again before its time: %v", errs)
					}
					w.gets(map[string]Outcome{"relayd": Verified})
					time.Sleep(jitterless(time.Minute))
					_, errs = w.pass(t.Context(), Scheduled, whole)
					wantErrors(t, errs)
					if len(w.deployed) != 3 || w.deployed[2][0].Deployed != tt.looks {
						t.Fatalf("%d deployments, want a third one, that looks first: %t", len(w.deployed), tt.looks)
					}
					if done, errs := w.pass(t.Context(), Manual, whole); len(done)+len(errs) > 0 || w.counts() != [2]int{1, 3} {
						t.Errorf("then: done %v, errors %v", done, errs)
					}
				})
			})
		}
	}
}

// What was in use and only not seen, and then could not be reloaded, is done from
// the start.
func TestReloadIsMissingAgain(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct {
		outcome Outcome
		looks   bool
	}{{Reloaded, false}, {Installed, true}, {Reloaded, false}, {RolledBack, true}, {Verified, false}} {
		w.gets(map[string]Outcome{"relayd": tt.outcome})
		w.pass(t.Context(), Manual, chat)
		if c := w.deployed[len(w.deployed)-1][0]; c.Deployed != tt.looks {
			t.Errorf("call %d looks first: %t", len(w.deployed), c.Deployed)
		}
	}
	if len(w.deployed) != 5 {
		t.Errorf("%d deployments", len(w.deployed))
	}
}

// What was changed, failed and was changed back is done again: nobody knows what
// the server made of it.
func TestChangedBack(t *testing.T) {
	w := newWorld(t)
	w.pass(t.Context(), Scheduled, withSpec(DeploySpec{ConfigHash: "old"}))
	w.gets(map[string]Outcome{"relayd": Installed})
	w.pass(t.Context(), Scheduled, withSpec(DeploySpec{ConfigHash: "new"}))
	w.deploy = nil
	done, errs := w.pass(t.Context(), Manual, withSpec(DeploySpec{ConfigHash: "old"}))
	if wantErrors(t, errs); len(done) != 1 || len(w.deployed) != 3 || w.deployed[2][0].Deployed {
		t.Errorf("done %v after %d deployments, want a third one from the start", done, len(w.deployed))
	}
}

// A deployment that is done again and interrupted or killed is not done: the file
// that was lost is there again, the reload may not have been.
func TestDeployedAgainEndsEarly(t *testing.T) {
	w := newWorld(t)
	w.pass(t.Context(), Scheduled, withSpec(DeploySpec{ConfigHash: "a"}))
	ctx, cancel := context.WithCancel(t.Context())
	w.deploy = func(context.Context, string, []Change) ([]Outcome, error) {
		s, err := loadState(w.store, "chat") // what a kill would leave
		must(t, err)
		if d := s.Record.Deployments["relayd"]; d.Has(s.Fingerprint) {
			t.Errorf("a kill would leave %+v", d)
		}
		cancel()
		return nil, ctx.Err()
	}
	w.pass(ctx, Scheduled, withSpec(DeploySpec{ConfigHash: "a", Inspection: Inspection{Differs: "/x.crt is gone"}}))
	w.deploy = nil
	done, errs := w.pass(t.Context(), Scheduled, withSpec(DeploySpec{ConfigHash: "a"}))
	if wantErrors(t, errs); len(done) != 1 || len(w.deployed) != 3 || w.deployed[2][0].Deployed {
		t.Errorf("done %v after %d deployments, want a third one from the start", done, len(w.deployed))
	}
}

// A renewal that is taken back leaves what is known of the pair before, which is
// in place and live.
func TestTakenBackKeepsTheOneBefore(t *testing.T) {
	for _, outcome := range []Outcome{RolledBack, Installed} {
		w := newWorld(t)
		w.pass(t.Context(), Scheduled, chat)
		before, err := loadState(w.store, "chat")
		must(t, err)
		w.gets(map[string]Outcome{"relayd": outcome})
		w.pass(t.Context(), Force, chat)
		s, err := loadState(w.store, "chat")
		must(t, err)
		d := s.Record.Deployments["relayd"]
		if d.Deployed != before.Fingerprint || d.Verified != before.Fingerprint || d.Attempt.Failures != 1 || s.Fingerprint == before.Fingerprint {
			t.Errorf("outcome %v: record = %+v", outcome, d)
		}
		if back := outcome == RolledBack; back != s.InUse.Equal(before.Leaf) || back == s.Live {
			t.Errorf("outcome %v: live is the newest: %t", outcome, s.Live)
		}
	}
}

// A tally is an Observer.
type tally struct{ ordered, deployed []string }

func (c *tally) Ordered(ca string, _ time.Duration, err error) {
	c.ordered = append(c.ordered, fmt.Sprint(ca, " ", err))
}

func (c *tally) Deployed(deployment string, took time.Duration, err error) {
	c.deployed = append(c.deployed, fmt.Sprint(deployment, " ", took, " ", err))
}

// Each run of a deployment is counted, for any number of targets, and one that
// was interrupted is none.
func TestDeploymentsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, count := newWorld(t), new(tally)
		p := Pass{Store: w.store, Observer: count, Mode: Manual, Log: w.log}
		ctx, cancel := context.WithCancel(t.Context())
		for _, end := range []func() error{
			func() error { return errors.New("no such proxy") },
			func() error { cancel(); return ctx.Err() },
			func() error { return nil },
		} {
			w.deploy = func(context.Context, string, []Change) ([]Outcome, error) {
				time.Sleep(time.Second)
				return nil, end()
			}
			p.Run(ctx, w.bind(named("a", "b")...))
			if ctx.Err() != nil {
				ctx = t.Context()
			}
		}
		if want := []string{"relayd 1s no such proxy", "relayd 1s <nil>"}; !slices.Equal(count.deployed, want) {
			t.Errorf("counted %q, want %q", count.deployed, want)
		}
	})
}

// The record names the files of a deployment as long as they may be there.
func TestDeployedFiles(t *testing.T) {
	for _, tt := range []struct {
		name   string
		result Result
		want   []string
	}{
		{"verified", Result{Outcome: Verified}, []string{"/etc/chat.pem"}},
		{"written, and not reloaded", Result{Outcome: Installed, Err: errors.New("no such proxy")}, []string{"/etc/chat.pem"}},
		{"rolled back", Result{Outcome: RolledBack, Err: errors.New("no such proxy")}, []string{"/etc/chat.pem"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.results = []Result{tt.result}
			w.pass(t.Context(), Scheduled, withSpec(DeploySpec{}))
			rec, err := LoadRecord(w.store, "chat")
			must(t, err)
			if got := rec.Deployments["relayd"].Files; !slices.Equal(got, tt.want) {
				t.Errorf("files %q, want %q", got, tt.want)
			}
		})
	}
}

// A newer pair than the store has is stored; where that fails nothing is ordered in its
// place.
func TestDeployedIsNewer(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before func(t *testing.T, w *world)
		live   string
		errs   []string
	}{
		{"stored", func(*testing.T, *world) {}, "v000002", nil},
		{"cannot be stored", func(t *testing.T, w *world) {
			must(t, os.WriteFile(filepath.Join(w.store.Dir("chat"), "pending"), nil, 0o600))
		}, "v000001", []string{"storing the newer certificate that is deployed"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.pass(t.Context(), Scheduled, chat)
				time.Sleep(61 * day) // by the store, it is due
				newer, err := issue(chat.Names, time.Now().Add(-day), 90*day)
				must(t, err)
				tt.before(t, w)
				_, errs := w.pass(t.Context(), Scheduled, target(func(t *Target) {
					t.Deploy = deploymentsAs(DeploySpec{Signature: "touched", Inspection: Inspection{Differs: "/x.crt has a newer certificate", Newer: newer}}, "relayd")
				}))
				wantErrors(t, errs, tt.errs...)
				if id, err := w.store.LiveID("chat"); err != nil || id != tt.live || len(w.obtained) != 1 {
					t.Errorf("live %s, %v; %d orders", id, err, len(w.obtained))
				}
			})
		})
	}
}
