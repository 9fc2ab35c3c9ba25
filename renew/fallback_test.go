package renew

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keypaird/renew/backoff"
)

// tryNextCA is a failure of one CA that another may do better.
func tryNextCA(caWide bool) error {
	return &OrderError{TryNextCA: true, CAWide: caWide, Err: errors.New("down")}
}

// A scheduled pass stays with its CA, a manual one does not; both come back to
// the first.
func TestFallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		two := target(func(t *Target) { t.Deploy = nil })
		w.pass(t.Context(), Scheduled, two)
		time.Sleep(61 * day)
		w.at = func(ca string) error {
			if ca == "le" {
				return tryNextCA(true)
			}
			return nil
		}
		var tries []string
		for range 12 * 60 {
			w.asked = nil
			w.pass(t.Context(), Scheduled, two)
			tries = append(tries, w.asked...)
			time.Sleep(time.Minute)
		}
		if want := []string{"le", "le", "le", "zerossl"}; !slices.Equal(tries, want) {
			t.Errorf("asked %v, want %v", tries, want)
		}
		time.Sleep(61 * day)
		w.at, w.asked = nil, nil
		w.pass(t.Context(), Scheduled, two)
		if want := []string{"le"}; !slices.Equal(w.asked, want) {
			t.Errorf("two months later asked %v, want %v", w.asked, want)
		}
	})
}

// When no order can succeed at a CA, it is asked once in a pass.
func TestCAThatIsDown(t *testing.T) {
	w := newWorld(t)
	w.at = func(string) error { return tryNextCA(true) }
	var names []string
	for i := range 100 {
		names = append(names, fmt.Sprintf("t%d", i))
	}
	_, errs := w.pass(t.Context(), Scheduled, named(names...)...)
	if len(w.asked) > 4 || len(errs) != 100 { // Parallel is 4
		t.Errorf("the CA was asked %d times, %d errors", len(w.asked), len(errs))
	}
	for _, name := range names {
		if r, err := LoadRecord(w.store, name); err != nil || r.Orders["le"].Failures != 1 || !strings.Contains(r.Orders["le"].Error, "down") {
			t.Fatalf("record of %s: %+v, %v", name, r, err)
		}
	}
}

// What was not asked of one target's names is asked of another's.
func TestCAThatRefusesOne(t *testing.T) {
	w := newWorld(t)
	w.obtain = func(_ context.Context, t Target) error {
		if t.Name == "a" {
			return tryNextCA(false)
		}
		return nil
	}
	done, errs := w.pass(t.Context(), Scheduled, named("a", "b", "c")...)
	if wantErrors(t, errs, `cert "a": obtaining: down`); len(done) != 2 {
		t.Errorf("done %+v", done)
	}
}

// An order that hangs holds up neither other orders nor their deployment for
// longer than a minute.
func TestOrderThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		began := time.Now()
		var deployed time.Duration
		w.obtain = func(ctx context.Context, t Target) error {
			if t.Name == "a" {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		w.deploy = func(context.Context, string, []Change) ([]Outcome, error) {
			deployed = time.Since(began)
			return nil, nil
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Hour)
		defer stop()
		done, _ := w.pass(ctx, Scheduled, named("a", "b", "c")...)
		if len(done) != 2 || deployed != time.Minute || len(w.deployed) != 1 {
			t.Errorf("done %+v after %v in %d deployments; want two in one after a minute", done, deployed, len(w.deployed))
		}
	})
}

// A pass that is to yield ends its orders, finishes the deployment that was
// begun, and begins no other. Nothing of that is a failure.
func TestYield(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		yield := make(chan struct{})
		w.yield = yield
		w.obtain = func(ctx context.Context, t Target) error {
			if t.Name == "slow" {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		w.deploy = func(ctx context.Context, name string, _ []Change) ([]Outcome, error) {
			close(yield)
			time.Sleep(10 * time.Second)
			return nil, ctx.Err()
		}
		targets := named("fast", "slow")
		targets[0].Deploy = deployments("relayd", "postfix")
		r := w.report(t.Context(), Scheduled, targets...)
		if len(r.Errs) != 1 || !errors.Is(r.Errs[0], ErrYield) || len(w.deployed) != 1 {
			t.Fatalf("errors %v, %d deployments; want ErrYield and one", r.Errs, len(w.deployed))
		}
		if rec, err := LoadRecord(w.store, "slow"); err != nil || len(rec.Orders) > 0 {
			t.Errorf("record of what was interrupted: %+v, %v", rec, err)
		}
		for name, at := range r.Next {
			if time.Until(at) > time.Minute {
				t.Errorf("%s is looked at again after %v", name, time.Until(at))
			}
		}
		w.yield, w.obtain, w.deploy = nil, nil, nil
		done, errs := w.pass(t.Context(), Scheduled, targets...)
		if wantErrors(t, errs); len(done) != 2 || w.counts() != [2]int{3, 3} {
			t.Errorf("afterwards: done %+v, asked %v times", done, w.counts())
		}
	})
}

// Backoff holds while the process lives, although the disk does not take it.
func TestRecordThatCannotBeWritten(t *testing.T) {
	w := newWorld(t)
	lost := newWorld(t)
	lost.store.Close()
	p := &Pass{Store: lost.store, Records: new(Records), Log: w.log}
	failed := &job{Target: chat}
	failed.state.Record.SetFailedOrder("le", backoff.Attempt{Failures: 2, Error: "down"})
	if err := p.save(failed); err == nil {
		t.Fatal("a closed store takes a record")
	}
	next := &job{Target: chat}
	p.retrySave(next)
	if next.state.Record.Orders["le"].Failures != 2 {
		t.Errorf("remembered %+v", next.state.Record)
	}
	p.Store = w.store // there is room again
	p.retrySave(&job{Target: chat})
	if r, err := LoadRecord(w.store, "chat"); err != nil || r.Orders["le"].Failures != 2 || unsaved(p) {
		t.Errorf("written: %+v, %v; unsaved: %v", r, err, unsaved(p))
	}
}

// Who obtains a certificate is told whether the one before is of another CA.
func TestForeign(t *testing.T) {
	for _, tt := range []struct {
		name, fingerprint, ca string
		want                  bool
	}{{"its own", "f", "le", false}, {"another's", "f", "private", true}, {"nobody knows", "", "", false}, {"of an older one", "e", "private", false}} {
		s := State{Fingerprint: "f", Record: Record{Ordering: Ordering{Fingerprint: tt.fingerprint, CA: tt.ca}}}
		if got := s.foreign("le"); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
