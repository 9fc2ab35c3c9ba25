package renew

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// failing are records of targets whose orders at a CA failed, and what they failed
// with.
func failing(t *testing.T, w *world, targets []Target, text func(i int) string) {
	t.Helper()
	for i := range targets {
		var r Record
		r.failedOrder("le", Attempt{Failures: stubborn, At: time.Now(), Next: time.Now().Add(day), Error: text(i)})
		must(t, r.save(w.store, targets[i].Name))
	}
}

// One trouble is told of in one call, in however many words it comes.
func TestOneVoice(t *testing.T) {
	names := make([]string, 500)
	for i := range names {
		names[i] = fmt.Sprintf("n%03d", i)
	}
	for _, tt := range []struct {
		name, want string
		text       func(i int) string
	}{
		{"each name has an error of its own", "n000.test has no address; and 499 more, which keypaird status shows",
			func(i int) string { return names[i] + ".test has no address" }},
		{"each connection had a port of its own", "read tcp 127.0.0.1:40000->192.0.2.1:443: connection reset",
			func(i int) string {
				return fmt.Sprintf("read tcp 127.0.0.1:%d->192.0.2.1:443: connection reset", 40000+i)
			}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, e := newWorld(t), &ear{}
			w.notifier = e
			failing(t, w, named(names...), tt.text)
			w.pass(t.Context(), Patient, named(names...)...)
			e.wants(t, "failing "+strings.Join(names, " ")+": "+tt.want)
		})
	}
}

// two targets are in two troubles.
func twoTroubles(t *testing.T, w *world) []Target {
	t.Helper()
	both := named("a", "b")
	both[1].CAs = []string{"other"}
	failing(t, w, both[:1], func(int) string { return "down" })
	var r Record
	r.failedOrder("other", Attempt{Failures: stubborn, At: time.Now(), Next: time.Now().Add(day), Error: "down too"})
	must(t, r.save(w.store, "b"))
	return both
}

// When the command that tells fails, or another command waits, the pass does not
// hold on: the next one goes on telling, and soon.
func TestTellingStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, e := newWorld(t), &ear{err: errors.New("no mail today")}
		w.notifier = e
		both := twoTroubles(t, w)
		r := w.report(t.Context(), Patient, both...)
		e.wants(t, "failing a: down")
		for name, at := range r.Next {
			if time.Until(at) > 2*time.Minute {
				t.Errorf("%s is to be told of after %v", name, time.Until(at))
			}
		}
		w.report(t.Context(), Patient, both...) // the first waits
		e.wants(t, "failing b: down too")
		e.err = nil
		time.Sleep(jitterless(time.Minute))
		w.report(t.Context(), Patient, both...)
		e.wants(t, "failing a: down", "failing b: down too")

		w, e = newWorld(t), &ear{}
		both = twoTroubles(t, w)
		w.yield = make(chan struct{})
		w.notifier = teller(func(ctx context.Context, notices []Notice) error {
			close(w.yield)
			return e.Notify(ctx, notices)
		})
		r = w.report(t.Context(), Patient, both...)
		e.wants(t, "failing a: down")
		if wait := time.Until(r.Next["b"]); wait > time.Minute {
			t.Errorf("the other is to be told of after %v", wait)
		}
		w.yield, w.notifier = nil, e
		w.report(t.Context(), Patient, both...)
		e.wants(t, "failing b: down too")
	})
}

type teller func(ctx context.Context, notices []Notice) error

func (f teller) Notify(ctx context.Context, notices []Notice) error { return f(ctx, notices) }

// Where no pass can be made at all, a person is told, daily, and of the end of it;
// and again if it begins again.
func TestHindered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, e := newWorld(t), &ear{}
		p := Pass{Store: w.store, Obtainer: w, Deployer: w, Log: w.log, Crier: &Crier{Notifier: e}}
		both := named("a", "b")
		p.Hindered(t.Context(), both, errors.New("the disk is read-only"))
		p.Hindered(t.Context(), both, errors.New("the disk is read-only"))
		e.wants(t, "failing a b: no pass could be made: the disk is read-only")
		e.err = errors.New("no mail today")
		time.Sleep(day)
		for range 2 * 60 {
			p.Hindered(t.Context(), both, errors.New("the disk is read-only"))
			time.Sleep(time.Minute)
		}
		if len(e.heard) > 5 {
			t.Errorf("a command that fails was run %d times in two hours", len(e.heard))
		}
		e.heard, e.err = nil, nil
		p.Run(t.Context(), both[:1])
		e.wants(t, "recovered a: ")
		p.Run(t.Context(), both)
		e.wants(t, "recovered b: ")
		p.Run(t.Context(), both)
		e.wants(t)
		p.Hindered(t.Context(), both, errors.New("the lock is a directory"))
		e.wants(t, "failing a b: no pass could be made: the lock is a directory")
	})
}

// A state that can be read again is told of, and if it breaks again that is, too.
func TestTellingOfMendedState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, e := newWorld(t), &ear{}
		w.notifier = e
		w.pass(t.Context(), Patient, named("a")...)
		for range 2 {
			must(t, os.Chmod(w.store.Dir("a"), 0o777))
			w.pass(t.Context(), Patient, named("a")...)
			if len(e.heard) != 1 || !strings.Contains(e.heard[0], "failing a: reading its state: ") {
				t.Errorf("heard %q", e.heard)
			}
			e.heard, e.err = nil, errors.New("no mail today")
			must(t, os.Chmod(w.store.Dir("a"), 0o700))
			r := w.report(t.Context(), Patient, named("a")...)
			if wait := time.Until(r.Next["a"]); wait > 2*time.Minute {
				t.Errorf("what was not heard is told again after %v", wait)
			}
			e.heard, e.err = nil, nil
			time.Sleep(2 * time.Minute)
			w.pass(t.Context(), Patient, named("a")...)
			e.wants(t, "recovered a: ")
		}
	})
}
