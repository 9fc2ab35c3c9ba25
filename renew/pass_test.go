package renew

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"keypaird/renew/durable"
)

func TestFirstPass(t *testing.T) {
	w := newWorld(t)
	done, errs := w.pass(t.Context(), Scheduled, chat)
	wantErrors(t, errs)
	if len(done) != 1 || done[0].Action != Issue || done[0].CA != "le" || done[0].Why != "no certificate" {
		t.Errorf("done = %+v", done)
	}
	live, err := w.store.Live("chat")
	must(t, err)
	s, err := loadState(w.store, "chat")
	must(t, err)
	d := s.Record.Deployments["relayd"]
	if fp := live.Pair.Fingerprint(); s.Fingerprint != fp || !s.Live || s.Record.Fingerprint != fp || s.Record.CA != "le" || d.Deployed != fp || d.Verified != fp {
		t.Errorf("state = %+v, want all of it done with %s", s, fp)
	}
	if want := "chat " + live.Pair.Leaf.SerialNumber.String(); len(w.forgotten) != 1 || w.forgotten[0] != want {
		t.Errorf("forgot %v, want %s", w.forgotten, want)
	}
	done, errs = w.pass(t.Context(), Manual, chat)
	wantErrors(t, errs)
	if len(done) != 0 || w.counts() != [2]int{1, 1} {
		t.Errorf("second pass: done %v, CA and proxy asked %v times", done, w.counts())
	}
}

func TestObtainingFails(t *testing.T) {
	for _, tt := range []struct {
		name   string
		obtain func(context.Context, Target) error
		text   string
	}{
		{"refused", func(context.Context, Target) error { return limited{time.Now().Add(time.Hour)} }, `cert "b": obtaining: too many`},
		{"panic", func(context.Context, Target) error { panic("nil map") }, `cert "b": obtaining: internal fault: nil map`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			must(t, w.store.WriteFile("b", "pending/order.json", []byte("{}")))
			w.obtain = func(ctx context.Context, t Target) error {
				if t.Name == "b" {
					return tt.obtain(ctx, t)
				}
				return nil
			}
			targets := named("a", "b", "c")
			done, errs := w.pass(t.Context(), Scheduled, targets...)
			wantErrors(t, errs, tt.text)
			if len(done) != 2 || len(w.deployed) != 1 || len(w.deployed[0]) != 2 {
				t.Errorf("done %v with %d deployments, want the other two with one", done, len(w.deployed))
			}
			if _, err := w.store.ReadFile("b", "pending/order.json"); err != nil {
				t.Errorf("the order under way is lost: %v", err)
			}
			w.obtain = nil
			w.pass(t.Context(), Scheduled, targets...) // in vain: the backoff runs
			if r, err := LoadRecord(w.store, "b"); err != nil || r.Orders["le"].Failures != 1 || r.Orders["le"].Error == "" || len(w.obtained) != 3 {
				t.Errorf("record %+v, %v; obtained %v", r.Orders["le"], err, w.obtained)
			}
			w.pass(t.Context(), Manual, targets...)
			if r, err := LoadRecord(w.store, "b"); err != nil || r.Orders["le"].Failures != 0 || len(w.obtained) != 4 {
				t.Errorf("after success: record %+v, %v; obtained %v", r.Orders["le"], err, w.obtained)
			}
		})
	}
}

func TestInterrupt(t *testing.T) {
	for _, tt := range []struct {
		name string
		stop func(w *world, cancel func())
		next [2]int // times CA and proxy are asked by the end of the second pass
	}{
		{"while obtaining", func(w *world, cancel func()) {
			w.obtain = func(ctx context.Context, _ Target) error {
				cancel()
				return context.Cause(ctx)
			}
		}, [2]int{2, 1}},
		{"while deploying", func(w *world, cancel func()) {
			w.deploy = func(ctx context.Context, _ string, _ []Change) ([]Outcome, error) {
				cancel()
				return []Outcome{Reloaded}, context.Cause(ctx)
			}
		}, [2]int{1, 2}},
		{"between the two", func(w *world, cancel func()) {
			w.obtain = func(context.Context, Target) error {
				cancel()
				return nil
			}
		}, [2]int{1, 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			ctx, cancel := context.WithCancel(t.Context())
			tt.stop(w, cancel)
			_, errs := w.pass(ctx, Scheduled, chat)
			if wantErrors(t, errs, "context canceled"); !errors.Is(errs[0], context.Canceled) {
				t.Errorf("error = %#v", errs[0])
			}
			r, err := LoadRecord(w.store, "chat")
			must(t, err)
			if r.Orders["le"].Failures != 0 || r.Deployments["relayd"].Attempt.Failures != 0 || r.Deployments["relayd"].Deployed != "" {
				t.Errorf("recorded: %+v", r)
			}
			w.obtain, w.deploy = nil, nil
			_, errs = w.pass(t.Context(), Scheduled, chat)
			wantErrors(t, errs)
			if w.counts() != tt.next {
				t.Errorf("CA and proxy asked %v times, want %v", w.counts(), tt.next)
			}
		})
	}
}

// What was begun when the interrupt came is reported.
func TestInterruptedPassSaysWhatItDid(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	w.deploy = func(ctx context.Context, _ string, _ []Change) ([]Outcome, error) {
		cancel()
		return []Outcome{RolledBack}, context.Cause(ctx)
	}
	if done, _ := w.pass(ctx, Scheduled, chat); len(done) != 1 || done[0].Action != Issue {
		t.Errorf("done = %+v, want the new certificate", done)
	}
}

func TestParallel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var running, most atomic.Int32
		w.obtain = func(context.Context, Target) error {
			most.Store(max(most.Load(), running.Add(1)))
			time.Sleep(time.Second)
			running.Add(-1)
			return nil
		}
		began := time.Now()
		_, errs := w.pass(t.Context(), Scheduled, named("a", "b", "c", "d", "e", "f", "g", "h")...)
		wantErrors(t, errs)
		if took := time.Since(began); took != 2*time.Second || most.Load() != 4 {
			t.Errorf("8 orders of a second took %v with %d at once, want 2s with 4", took, most.Load())
		}
	})
}

func TestOwnLimit(t *testing.T) {
	w := newWorld(t)
	w.limit = func(string) Limit {
		if len(w.obtained) < 2 {
			return Limit{}
		}
		return Limit{Until: time.Now().Add(day), Err: limited{time.Now().Add(day)}}
	}
	flip := func(mode Mode, keyType string) []error {
		target := chat
		target.KeyType = keyType
		_, errs := w.pass(t.Context(), mode, target)
		return errs
	}
	wantErrors(t, flip(Manual, "ec256"))
	wantErrors(t, flip(Manual, "ec384")) // the pairs here are all ec256, so each pass wants another
	errs := flip(Manual, "ec384")
	wantErrors(t, errs, `cert "chat": obtaining: key type changed, but too many`)
	if got := Remedy(errs[0]); got != "wait" {
		t.Errorf("remedy = %q", got)
	}
	wantErrors(t, flip(Scheduled, "ec384")) // the daemon waits in silence
	if len(w.obtained) != 2 {
		t.Errorf("%d certificates, want 2", len(w.obtained))
	}
	wantErrors(t, flip(Force, "ec384"))
	if len(w.obtained) != 3 {
		t.Errorf("%d certificates, want the forced one too", len(w.obtained))
	}
}

// The files with the limits are not read for a target that needs no certificate.
func TestLimitsOfNoOrder(t *testing.T) {
	w := newWorld(t)
	_, errs := w.pass(t.Context(), Scheduled, chat)
	wantErrors(t, errs)
	w.limit = func(ca string) Limit {
		t.Errorf("the limit of %s was read", ca)
		return Limit{}
	}
	_, errs = w.pass(t.Context(), Manual, chat)
	wantErrors(t, errs)
}

// While no certificate may be ordered, what is stored is deployed as soon as the
// window opens.
func TestWindowOpensBeforeTheLimitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		pass := func() Report {
			opens := threeInTheMorning // what is in use is far from its end
			p := Pass{Store: w.store, DeployWindow: opens, Log: w.log}
			return p.Run(t.Context(), w.bind(target(func(t *Target) {
				t.KeyType = []string{"ec256", "ec384"}[min(len(w.obtained), 1)] // the pairs here are all ec256
			})))
		}
		time.Sleep(4 * time.Hour) // it is four in the morning
		pass()
		w.deployed = nil
		pass() // stores another
		w.limit = func(string) Limit { return Limit{Until: time.Now().Add(3 * day), Err: limited{}} }
		next := pass().Next["chat"]
		if wait := time.Until(next); wait != 23*time.Hour || len(w.deployed) > 0 {
			t.Fatalf("next after %v, %d deployments; want 23h, when the window opens, and none", wait, len(w.deployed))
		}
		time.Sleep(time.Until(next))
		if pass(); len(w.deployed) != 1 {
			t.Errorf("%d deployments in the window, want 1", len(w.deployed))
		}
	})
}

// A record that cannot be written must not lead to order after order.
func TestRecordCannotBeSaved(t *testing.T) {
	w := newWorld(t)
	blocked := filepath.Join(w.store.Dir("chat"), "record.json")
	w.obtain = func(context.Context, Target) error { return os.MkdirAll(filepath.Join(blocked, "x"), 0o700) }
	done, errs := w.pass(t.Context(), Scheduled, chat)
	wantErrors(t, errs, `obtaining: recording`, `recording its deployment to relayd, which will be repeated`)
	if live, err := w.store.Live("chat"); err != nil || live.ID != "v000001" || len(done) != 1 || len(w.deployed) != 1 {
		t.Errorf("live %v, %v; done %v; deployed %d times: want the new pair in use", live.ID, err, done, len(w.deployed))
	}
	for range 3 {
		_, errs = w.pass(t.Context(), Manual, chat)
		wantErrors(t, errs, "reading its state")
	}
	must(t, os.RemoveAll(blocked))
	_, errs = w.pass(t.Context(), Scheduled, chat)
	wantErrors(t, errs)
	if w.counts() != [2]int{1, 2} {
		t.Errorf("CA and proxy asked %v times, want 1 and 2", w.counts())
	}
}

// A pair that cannot be stored is asked for again: the Issuer still has it.
func TestStoringFails(t *testing.T) {
	w := newWorld(t)
	dir := w.store.Dir("chat")
	w.obtain = func(context.Context, Target) error {
		return errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600))
	}
	_, errs := w.pass(t.Context(), Scheduled, chat)
	wantErrors(t, errs, `cert "chat": obtaining: storing: `)
	must(t, os.Remove(dir))
	w.obtain = nil
	_, errs = w.pass(t.Context(), Scheduled, chat)
	wantErrors(t, errs)
}

// Sixty days and more, looked at every half hour.
func TestYear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		began := time.Now()
		var at []int // days on which certificates were issued
		for time.Since(began) < 365*day {
			done, errs := w.pass(t.Context(), Scheduled, chat)
			wantErrors(t, errs)
			if len(done) > 0 {
				at = append(at, int(time.Since(began)/day))
			}
			time.Sleep(12 * time.Hour)
		}
		if want := []int{0, 60, 120, 180, 240, 300, 360}; !slices.Equal(at, want) {
			t.Errorf("issued on days %v, want %v", at, want)
		}
		versions, err := filepath.Glob(filepath.Join(w.store.Dir("chat"), "v*"))
		if must(t, err); len(versions) != 3 {
			t.Errorf("%d versions are kept, want 3", len(versions))
		}
	})
}

// A failing CA is asked again after 1, 10, 100 minutes, then daily.
func TestBackoffOverDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.obtain = func(context.Context, Target) error { return errors.New("down") }
		began := time.Now()
		var at []time.Duration
		for time.Since(began) < 3*day {
			if _, errs := w.pass(t.Context(), Scheduled, chat); len(errs) > 0 {
				at = append(at, time.Since(began))
			}
			time.Sleep(time.Minute)
		}
		if len(at) != 6 {
			t.Fatalf("asked after %v, want six times", at)
		}
		for i, want := range []time.Duration{time.Minute, 10 * time.Minute, 100 * time.Minute, day, day} {
			if got := at[i+1] - at[i]; got < want || got > jitterless(want)+time.Minute {
				t.Errorf("asked after %v: wait %d is %v, want %v", at, i, got, want)
			}
		}
	})
}

func TestDamagedTarget(t *testing.T) {
	w := newWorld(t)
	_, errs := w.pass(t.Context(), Scheduled, named("a", "b")...)
	wantErrors(t, errs)
	for _, file := range []string{"privkey.pem", "combined.pem"} {
		must(t, os.WriteFile(filepath.Join(w.store.Dir("a"), "v000001", file), []byte("damaged"), 0o600))
	}
	must(t, os.Remove(filepath.Join(w.store.Dir("a"), "record.json")))
	_, errs = w.pass(t.Context(), Scheduled, named("a", "b")...)
	wantErrors(t, errs, `cert "a": switching to its new version: `)
	var broken *durable.BrokenError
	if !errors.As(errs[0], &broken) || Remedy(errs[0]) == "" {
		t.Errorf("error = %#v, want BrokenError", errs[0])
	}
}
