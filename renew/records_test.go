package renew

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"keypaird/renew/backoff"
	"keypaird/renew/keypair"
	"keypaird/renew/rollover"
)

// fullDisk returns a pass whose records the disk does not take, as long as its
// store is not w's.
func fullDisk(t *testing.T, w *world) *Pass {
	t.Helper()
	shut, err := keypair.Open(filepath.Dir(filepath.Dir(w.store.Dir("chat"))))
	must(t, err)
	must(t, shut.Close())
	return &Pass{Store: shut, Records: new(Records), Log: w.log}
}

// unsaved reports whether the record of the target chat could not be written.
func unsaved(p *Pass) bool {
	_, unsaved := p.Records.Pending(p.Store, "chat")
	return unsaved
}

// What the disk did not take is shown, as long as the disk has nothing newer.
func TestLookKnowsWhatIsUnsaved(t *testing.T) {
	w := newWorld(t)
	must(t, new(Records).Save(w.store, "chat", Record{Ordering: Ordering{CA: "le"}}))
	p := fullDisk(t, w)
	j := &job{Target: chat}
	j.state.Record.SetFailedOrder("le", backoff.Attempt{Failures: 2, Error: "no space"})
	if err := p.save(j); err == nil {
		t.Fatal("the disk takes a record")
	}
	s, err := LoadStateWith(p.Records, w.store, Target{Name: "chat"})
	if must(t, err); s.Record.Orders["le"].Failures != 2 {
		t.Errorf("record = %+v, want the one that was not saved", s.Record)
	}
	must(t, new(Records).Save(w.store, "chat", Record{Ordering: Ordering{CA: "other"}})) // a command
	if s, err = LoadStateWith(p.Records, w.store, Target{Name: "chat"}); err != nil || s.Record.CA != "other" {
		t.Errorf("record = %+v, %v; want that of the command", s.Record, err)
	}
	if s, err = LoadStateWith(p.Records, w.store, Target{Name: "mail"}); err != nil || s.Record.CA != "" {
		t.Errorf("record of another target = %+v, %v", s.Record, err)
	}
}

// What was shown does not change when the pass goes on with it.
func TestShownIsACopy(t *testing.T) {
	w := newWorld(t)
	p := fullDisk(t, w)
	fails := func(j *job, n int) {
		j.state.Record.SetFailedOrder("le", backoff.Attempt{Failures: n})
		j.state.Record.SetDeployment("relayd", Deployment{Attempt: backoff.Attempt{Failures: n}})
		if j.state.Record.TLSA.Names == nil {
			j.state.Record.TLSA.Names = map[string]rollover.Observation{}
		}
		j.state.Record.TLSA.Names["x"] = rollover.Observation{Error: fmt.Sprint(n)}
	}
	shows := func(s State, n int) {
		t.Helper()
		r := s.Record
		if r.Orders["le"].Failures != n || r.Deployments["relayd"].Attempt.Failures != n || r.TLSA.Names["x"].Error != fmt.Sprint(n) {
			t.Errorf("shown: %+v, want %d everywhere", r, n)
		}
	}
	first := &job{Target: chat}
	fails(first, 1)
	if p.save(first) == nil {
		t.Fatal("the disk takes a record")
	}
	fails(first, 2) // and is not saved yet
	s, err := LoadStateWith(p.Records, w.store, Target{Name: "chat"})
	must(t, err)
	shows(s, 1)
	next := &job{Target: chat}
	p.retrySave(next)
	fails(next, 3)
	shows(s, 1)
}

// The page looks while the pass works on what it is shown.
func TestLookDuringPass(t *testing.T) {
	w := newWorld(t)
	must(t, new(Records).Save(w.store, "chat", Record{Ordering: Ordering{CA: "le"}}))
	p := fullDisk(t, w)
	var page sync.WaitGroup
	done := make(chan struct{})
	page.Go(func() {
		for {
			s, err := LoadStateWith(p.Records, w.store, Target{Name: "chat"})
			if err != nil || s.Record.Orders["le"].Failures > 50 {
				t.Error(s.Record, err)
			}
			for name, d := range s.Record.Deployments {
				_ = name + d.Deployed
			}
			for name, seen := range s.Record.TLSA.Names {
				_ = name + seen.Error
			}
			select {
			case <-done:
				return
			default:
			}
		}
	})
	for i := range 50 {
		j := &job{Target: chat}
		p.retrySave(j)
		j.state.Record.SetFailedOrder("le", backoff.Attempt{Failures: i})
		j.state.Record.SetDeployment(fmt.Sprint(i), Deployment{})
		if j.state.Record.TLSA.Names == nil {
			j.state.Record.TLSA.Names = map[string]rollover.Observation{}
		}
		j.state.Record.TLSA.Names[fmt.Sprint(i)] = rollover.Observation{}
		if p.save(j) == nil {
			t.Fatal("the disk takes a record")
		}
	}
	close(done)
	page.Wait()
	s, err := LoadStateWith(p.Records, w.store, Target{Name: "chat"})
	if err != nil || len(s.Record.Deployments) != 50 {
		t.Errorf("%d deployments, %v; want what was remembered each time", len(s.Record.Deployments), err)
	}
}
