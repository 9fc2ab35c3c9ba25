package renew

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"keypaird/renew/backoff"
)

var errReload = errors.New("no such proxy")

// reloadFails is a proxy that cannot be reloaded and whose deployment is rolled
// back.
func reloadFails(_ context.Context, _ string, changes []Change) ([]Outcome, error) {
	for _, c := range changes {
		if c.Restore != nil {
			if err := c.Restore(); err != nil {
				return nil, err
			}
		}
	}
	return make([]Outcome, len(changes)), errReload // all RolledBack
}

func TestOneReloadForAll(t *testing.T) {
	w := newWorld(t)
	_, errs := w.pass(t.Context(), Scheduled, named("a", "b", "c")...)
	wantErrors(t, errs)
	var names []string
	for _, c := range w.deployed[0] {
		names = append(names, c.Name)
	}
	if len(w.deployed) != 1 || !slices.Equal(names, []string{"a", "b", "c"}) {
		t.Errorf("%d calls, the first for %v; want one for all", len(w.deployed), names)
	}
}

// A deployment that fails is finished later, without another certificate.
func TestDeployFailsThenSucceeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.deploy = reloadFails
		_, errs := w.pass(t.Context(), Scheduled, named("a", "b")...)
		wantErrors(t, errs, `cert "a", "b": deploying to relayd: no such proxy`)
		_, errs = w.pass(t.Context(), Scheduled, named("a", "b")...)
		wantErrors(t, errs)
		if w.counts() != [2]int{2, 1} {
			t.Errorf("at once: CA and proxy asked %v times", w.counts())
		}
		time.Sleep(jitterless(time.Minute))
		w.deploy = nil
		done, errs := w.pass(t.Context(), Scheduled, named("a", "b")...)
		wantErrors(t, errs)
		if w.counts() != [2]int{2, 2} || len(done) != 2 || done[0].Action != Deploy || done[0].CA != "" {
			t.Errorf("a minute later: CA and proxy asked %v times, done %+v", w.counts(), done)
		}
		s, err := loadState(w.store, "a")
		must(t, err)
		if a := s.Record.Deployments["relayd"].Attempt; a != (backoff.Attempt{}) {
			t.Errorf("the failure is still on record: %+v", a)
		}
	})
}

func TestDeployerPanics(t *testing.T) {
	w := newWorld(t)
	w.deploy = func(context.Context, string, []Change) ([]Outcome, error) { panic("nil map") }
	_, errs := w.pass(t.Context(), Scheduled, chat)
	wantErrors(t, errs, `cert "chat": deploying to relayd: internal fault: nil map`)
}

// One deployment that fails does not hold up another of the same target.
func TestOneOfTwoDeploymentsFails(t *testing.T) {
	w := newWorld(t)
	w.deploy = func(_ context.Context, name string, _ []Change) ([]Outcome, error) {
		if name == "relayd" {
			return []Outcome{RolledBack}, errReload
		}
		return nil, nil
	}
	both := target(func(t *Target) { t.Deploy = deployments("relayd", "postfix") })
	_, errs := w.pass(t.Context(), Scheduled, both)
	wantErrors(t, errs, "deploying to relayd")
	r, err := LoadRecord(w.store, "chat")
	must(t, err)
	if r.Deployments["postfix"].Verified == "" || r.Deployments["relayd"].Verified != "" {
		t.Errorf("record = %+v", r.Deployments)
	}
	_, errs = w.pass(t.Context(), Manual, both)
	wantErrors(t, errs, "deploying to relayd")
	if w.counts() != [2]int{1, 3} { // relayd, postfix, and relayd again
		t.Errorf("CA and proxy asked %v times", w.counts())
	}
}

// In use but not verified is told to the deployer, which then only verifies.
func TestNotVerified(t *testing.T) {
	w := newWorld(t)
	w.deploy = func(context.Context, string, []Change) ([]Outcome, error) {
		return []Outcome{Reloaded}, errors.New("serves another")
	}
	_, errs := w.pass(t.Context(), Scheduled, chat)
	wantErrors(t, errs, "serves another")
	w.deploy = nil
	_, errs = w.pass(t.Context(), Manual, chat)
	wantErrors(t, errs)
	if first, second := w.deployed[0][0].Deployed, w.deployed[1][0].Deployed; first || !second {
		t.Errorf("deployed before: %v, %v; want false, true", first, second)
	}
}

// A deployment that is configured in another way, or lost a file, is done again
// from the start, without another certificate, and once.
func TestDeployedAgain(t *testing.T) {
	for _, tt := range []struct {
		name          string
		before, after DeploySpec
	}{
		{"configured in another way", DeploySpec{ConfigHash: "old"}, DeploySpec{ConfigHash: "new"}},
		{"lost a file", DeploySpec{ConfigHash: "old"}, DeploySpec{ConfigHash: "old", FilesMissing: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			in := func(m DeploySpec) Target {
				return target(func(t *Target) { t.Deploy = deploymentsAs(m, "relayd") })
			}
			for _, m := range []DeploySpec{tt.before, tt.before, tt.after, {ConfigHash: tt.after.ConfigHash}} {
				_, errs := w.pass(t.Context(), Scheduled, in(m))
				wantErrors(t, errs)
			}
			if w.counts() != [2]int{1, 2} || w.deployed[1][0].Deployed {
				t.Errorf("CA and proxy asked %v times, want 1 and 2, the second from the start", w.counts())
			}
		})
	}
}

// What a deployment is handed to go back to, and that it gets there.
func TestPrevious(t *testing.T) {
	for _, tt := range []struct {
		name     string
		between  func(t *testing.T, w *world) // after the first certificate was deployed well
		previous string                       // version; "" means none
	}{
		{"renewal", func(*testing.T, *world) {}, "v000001"},
		{"a renewal before that was rolled back", func(t *testing.T, w *world) {
			w.deploy = reloadFails
			w.pass(t.Context(), Force, chat)
			if live, err := w.store.LiveID("chat"); err != nil || live != "v000001" {
				t.Fatalf("live is %s, %v; want what it was rolled back to", live, err)
			}
		}, "v000001"},
		{"killed between switching and recording", func(t *testing.T, w *world) {
			pair, err := issue(chat.Names, time.Now(), 90*day)
			must(t, err)
			v, err := w.store.Add("chat", pair)
			must(t, err)
			must(t, w.store.SetLive("chat", v))
		}, "v000001"},
		{"killed between storing and switching", func(t *testing.T, w *world) {
			pair, err := issue(chat.Names, time.Now(), 90*day)
			must(t, err)
			_, err = w.store.Add("chat", pair)
			must(t, err)
		}, "v000001"},
		{"the record is lost", func(t *testing.T, w *world) {
			must(t, os.Remove(filepath.Join(w.store.Dir("chat"), "record.json")))
		}, "v000001"},
		{"the version before is gone", func(t *testing.T, w *world) {
			pair, err := issue(chat.Names, time.Now(), 90*day)
			must(t, err)
			v, err := w.store.Add("chat", pair)
			must(t, err)
			must(t, w.store.SetLive("chat", v))
			must(t, os.RemoveAll(filepath.Join(w.store.Dir("chat"), "v000001")))
		}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			_, errs := w.pass(t.Context(), Scheduled, chat)
			wantErrors(t, errs)
			versions := map[string]string{}
			live, err := w.store.Live("chat")
			must(t, err)
			versions[live.Pair.Fingerprint()] = live.ID
			tt.between(t, w)
			mode := Manual
			if s, err := loadState(w.store, "chat"); err == nil && s.Version == "v000001" {
				mode = Force
			}
			w.deploy = reloadFails
			w.pass(t.Context(), mode, chat)
			c := w.deployed[len(w.deployed)-1][0]
			if tt.previous == "" {
				if c.Previous != nil || c.Restore != nil {
					t.Errorf("previous = %v, want none", c.Previous)
				}
				return
			}
			if c.Previous == nil || versions[c.Previous.Fingerprint()] != tt.previous || c.New.Fingerprint() == c.Previous.Fingerprint() {
				t.Fatalf("previous = %v, want %s", c.Previous, tt.previous)
			}
			if id, err := w.store.LiveID("chat"); err != nil || id != tt.previous {
				t.Errorf("live after the roll-back is %s, %v; want %s", id, err, tt.previous)
			}
		})
	}
}

// Versions that a deployment still uses are not pruned, however many failed
// after them.
func TestVersionInUseIsKept(t *testing.T) {
	w := newWorld(t)
	both := target(func(t *Target) { t.Deploy = deployments("postfix", "relayd") })
	w.pass(t.Context(), Scheduled, both)
	first, err := w.store.Live("chat")
	must(t, err)
	w.gets(map[string]Outcome{"postfix": Verified, "relayd": RolledBack})
	for range 6 {
		w.pass(t.Context(), Force, both)
	}
	if _, err := w.store.Find("chat", first.Pair.Fingerprint()); err != nil {
		t.Errorf("the version in use: %v", err)
	}
	if c := w.deployed[len(w.deployed)-1][0]; c.Previous == nil || c.Previous.Fingerprint() != first.Pair.Fingerprint() {
		t.Error("the version in use is not what to go back to")
	}
}

// A CA that fails does not keep what is stored from being deployed in the same
// pass.
func TestDeployWhileCAFails(t *testing.T) {
	w := newWorld(t)
	w.deploy = func(context.Context, string, []Change) ([]Outcome, error) { return []Outcome{RolledBack}, errReload }
	w.pass(t.Context(), Scheduled, chat)
	w.deploy = nil
	w.obtain = func(context.Context, Target) error { return errors.New("down") }
	other := target(func(t *Target) { t.KeyType = "ec384" })
	done, errs := w.pass(t.Context(), Manual, other)
	wantErrors(t, errs, "obtaining: down")
	if len(done) != 1 || done[0].Action != Deploy || w.counts() != [2]int{2, 2} {
		t.Errorf("done = %+v, CA and proxy asked %v times", done, w.counts())
	}
}

// What a killed run left of an order that ended well is removed when its pair
// is put in use.
func TestOrderIsSettled(t *testing.T) {
	w := newWorld(t)
	pair, err := issue(chat.Names, time.Now(), 90*day)
	must(t, err)
	_, err = w.store.Add("chat", pair)
	must(t, err)
	_, errs := w.pass(t.Context(), Scheduled, chat)
	wantErrors(t, errs)
	if want := "chat " + pair.Leaf.SerialNumber.String(); len(w.forgotten) != 1 || w.forgotten[0] != want || len(w.obtained) != 0 {
		t.Errorf("forgot %v after %d orders, want %s after none", w.forgotten, len(w.obtained), want)
	}
}

// A target without deployments is done once its version is live.
func TestNothingToDeployTo(t *testing.T) {
	w := newWorld(t)
	bare := target(func(t *Target) { t.Deploy = nil })
	done, errs := w.pass(t.Context(), Scheduled, bare)
	wantErrors(t, errs)
	if id, err := w.store.LiveID("chat"); err != nil || id != "v000001" || len(done) != 1 {
		t.Errorf("live is %s, %v; done %v", id, err, done)
	}
	pair, err := issue(chat.Names, time.Now(), 90*day)
	must(t, err)
	_, err = w.store.Add("chat", pair) // killed before the switch
	must(t, err)
	done, errs = w.pass(t.Context(), Scheduled, bare)
	wantErrors(t, errs)
	if id, err := w.store.LiveID("chat"); err != nil || id != "v000002" || len(done) != 1 || done[0].Why != "stored but not live" {
		t.Errorf("live is %s, %v; done %v", id, err, done)
	}
	if done, _ := w.pass(t.Context(), Scheduled, bare); len(done) != 0 {
		t.Errorf("once more: %v", done)
	}
}
