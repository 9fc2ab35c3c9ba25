package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keypaird/renew"
	"keypaird/renew/backoff"
	"keypaird/renew/keypair/pairtest"
	"keypaird/renew/renewtest"
)

// Targets that fail at one step share a notice, daily, and one of recovery; a
// command that fails is run again.
func TestNotify(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &recorder{}
		w := newWorld(t, e)
		w.obtain = func() error { return errors.New("down") }
		both := named("a", "b")
		for _, wait := range []time.Duration{2 * time.Minute, 12 * time.Minute, 2 * time.Hour} {
			w.pass(t.Context(), renew.Scheduled, both...)
			time.Sleep(wait)
		}
		e.wants(t, "failing a b: down")
		e.err = errors.New("no mail today")
		for range 23*60 + 30 {
			w.pass(t.Context(), renew.Scheduled, both...)
			time.Sleep(time.Minute)
		}
		if len(e.lines) != 4 { // after 1, 10, 60 minutes
			t.Errorf("sent %q; a command that fails is to be tried four times in the hour and a half left", e.lines)
		}
		e.lines, e.err, w.obtain = nil, nil, nil
		time.Sleep(2 * day)
		w.pass(t.Context(), renew.Scheduled, both...)
		e.wants(t, "recovered a b: ")
		time.Sleep(2 * day)
		w.pass(t.Context(), renew.Scheduled, both...)
		e.wants(t)
	})
}

// The operator is notified of a state that cannot be read, daily.
func TestNotifyOfUnreadableState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &recorder{}
		w := newWorld(t, e)
		w.pass(t.Context(), renew.Scheduled, named("a")...)
		must(t, os.Chmod(w.store.Dir("a"), 0o777))
		for range 3 {
			w.pass(t.Context(), renew.Scheduled, named("a")...)
			time.Sleep(10 * time.Hour)
		}
		if len(e.lines) != 1 || !strings.Contains(e.lines[0], "failing a: reading its state: ") {
			t.Errorf("sent %q", e.lines)
		}
		w.pass(t.Context(), renew.Scheduled, named("a")...)
		if len(e.lines) != 2 {
			t.Errorf("sent %q, want it again after a day", e.lines)
		}
	})
}

// failing are records of targets whose orders at a CA failed, and what they failed
// with.
func failing(t *testing.T, w *world, targets []renew.Target, text func(i int) string) {
	t.Helper()
	for i := range targets {
		var r renew.Record
		r.Orders = map[string]backoff.Attempt{"le": {Failures: backoff.Persistent, At: time.Now(), Next: time.Now().Add(day), Error: text(i)}}
		must(t, w.notifier.Records.Save(w.store, targets[i].Name, r))
	}
}

// Targets that fail at one step share one notice, whatever their errors say.
func TestMergeErrors(t *testing.T) {
	names := make([]string, 500)
	for i := range names {
		names[i] = fmt.Sprintf("n%03d", i)
	}
	listed := func(n int) string {
		var list []string
		for _, name := range names[:n] {
			list = append(list, fmt.Sprintf("%q: %s.test has no address", name, name))
		}
		return strings.Join(list, "; ")
	}
	for _, tt := range []struct {
		name, want string
		text       func(i int) string
	}{
		{"each name has an error of its own", listed(13) + "; and 487 more, which keypaird status shows",
			func(i int) string { return names[i] + ".test has no address" }},
		{"each connection had a port of its own", "read tcp 127.0.0.1:40000->192.0.2.1:443: connection reset",
			func(i int) string {
				return fmt.Sprintf("read tcp 127.0.0.1:%d->192.0.2.1:443: connection reset", 40000+i)
			}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := &recorder{}
			w := newWorld(t, e)
			failing(t, w, named(names...), tt.text)
			w.pass(t.Context(), renew.Scheduled, named(names...)...)
			e.wants(t, "failing "+strings.Join(names, " ")+": "+tt.want)
		})
	}
}

// twoTroubles returns targets that fail at two CAs.
func twoTroubles(t *testing.T, w *world) []renew.Target {
	t.Helper()
	both := named("a", "b")
	both[1].Issuers = renewtest.CAs("other")
	failing(t, w, both[:1], func(int) string { return "down" })
	var r renew.Record
	r.Orders = map[string]backoff.Attempt{"other": {Failures: backoff.Persistent, At: time.Now(), Next: time.Now().Add(day), Error: "down too"}}
	must(t, w.notifier.Records.Save(w.store, "b", r))
	return both
}

// When the command that tells fails, or another command waits, the pass does not
// hold on: the next one goes on telling, and soon.
func TestNotifyStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &recorder{err: errors.New("no mail today")}
		w := newWorld(t, e)
		both := twoTroubles(t, w)
		r := w.pass(t.Context(), renew.Scheduled, both...)
		e.wants(t, "failing a: down")
		for name, at := range r.Next {
			if time.Until(at) > 2*time.Minute {
				t.Errorf("%s is due after %v", name, time.Until(at))
			}
		}
		w.pass(t.Context(), renew.Scheduled, both...) // the first waits
		e.wants(t, "failing b: down too")
		e.err = nil
		time.Sleep(jitterless(time.Minute))
		w.pass(t.Context(), renew.Scheduled, both...)
		e.wants(t, "failing a: down", "failing b: down too")

		e = &recorder{}
		w = newWorld(t, e)
		both = twoTroubles(t, w)
		w.yield = make(chan struct{})
		w.notifier.Sender = senderFunc(func(ctx context.Context, notices []Notice) error {
			close(w.yield)
			return e.Send(ctx, notices)
		})
		r = w.pass(t.Context(), renew.Scheduled, both...)
		e.wants(t, "failing a: down")
		if wait := time.Until(r.Next["b"]); wait > time.Minute {
			t.Errorf("the other is due after %v", wait)
		}
		w.yield, w.notifier.Sender = nil, e
		w.pass(t.Context(), renew.Scheduled, both...)
		e.wants(t, "failing b: down too")
	})
}

// The operator is notified that no pass can be made, daily, of the end of that,
// and again if it begins again.
func TestPassFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &recorder{}
		w := newWorld(t, e)
		both := named("a", "b")
		w.notifier.PassFailed(t.Context(), both, errors.New("the disk is read-only"))
		w.notifier.PassFailed(t.Context(), both, errors.New("the disk is read-only"))
		e.wants(t, "failing a b: pass failed: the disk is read-only")
		e.err = errors.New("no mail today")
		time.Sleep(day)
		for range 2 * 60 {
			w.notifier.PassFailed(t.Context(), both, errors.New("the disk is read-only"))
			time.Sleep(time.Minute)
		}
		if len(e.lines) > 5 {
			t.Errorf("a command that fails was run %d times in two hours", len(e.lines))
		}
		e.lines, e.err = nil, nil
		w.pass(t.Context(), renew.Scheduled, both[:1]...)
		e.wants(t, "recovered a: ")
		w.pass(t.Context(), renew.Scheduled, both...)
		e.wants(t, "recovered b: ")
		w.pass(t.Context(), renew.Scheduled, both...)
		e.wants(t)
		w.notifier.PassFailed(t.Context(), both, errors.New("the lock is a directory"))
		e.wants(t, "failing a b: pass failed: the lock is a directory")
	})
}

// A state that can be read again is told of, and if it breaks again that is, too.
func TestNotifyOfRepairedState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &recorder{}
		w := newWorld(t, e)
		w.pass(t.Context(), renew.Scheduled, named("a")...)
		for range 2 {
			must(t, os.Chmod(w.store.Dir("a"), 0o777))
			w.pass(t.Context(), renew.Scheduled, named("a")...)
			if len(e.lines) != 1 || !strings.Contains(e.lines[0], "failing a: reading its state: ") {
				t.Errorf("sent %q", e.lines)
			}
			e.lines, e.err = nil, errors.New("no mail today")
			must(t, os.Chmod(w.store.Dir("a"), 0o700))
			r := w.pass(t.Context(), renew.Scheduled, named("a")...)
			if wait := time.Until(r.Next["a"]); wait > 2*time.Minute {
				t.Errorf("what was not sent is sent again after %v", wait)
			}
			e.lines, e.err = nil, nil
			time.Sleep(2 * time.Minute)
			w.pass(t.Context(), renew.Scheduled, named("a")...)
			e.wants(t, "recovered a: ")
		}
	})
}

// A notice of a failed deployment names the version in use.
func TestNoticeNamesWhatIsInUse(t *testing.T) {
	e := &recorder{}
	w, chat := newWorld(t, e), named("chat")[0]
	w.pass(t.Context(), renew.Scheduled, chat)
	inUse, err := w.store.Live("chat")
	must(t, err)
	w.deploy = func() error { return errors.New("no such proxy") }
	w.pass(t.Context(), renew.Force, chat)
	w.pass(t.Context(), renew.Manual, chat)
	w.pass(t.Context(), renew.Manual, chat)
	if len(e.last) != 1 {
		t.Fatalf("sent %+v", e.last)
	}
	n := e.last[0]
	if n.Kind != Failing || n.Version != inUse.ID || n.Fingerprint != inUse.Pair.Fingerprint() || !n.NotAfter.Equal(inUse.Pair.Leaf.NotAfter) {
		t.Errorf("sent %+v, want version %s, %s", n, inUse.ID, inUse.Pair.Fingerprint())
	}
}

// A mailError has a remedy.
type mailError struct{ error }

func (mailError) Remedy() string { return "mend the mail" }

// The log names targets as it does elsewhere, and says what can be done.
func TestNotifyInTheLog(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"sent", nil, `msg=notified event=failing certs="a b"`},
		{"not sent", mailError{errors.New("no mail")}, `msg="notification failed" event=failing certs="a b" err="no mail" remedy="mend the mail"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, &recorder{err: tt.err})
			var log bytes.Buffer
			w.log = slog.New(slog.NewTextHandler(&log, nil))
			w.obtain = func() error { return errors.New("down") }
			for range backoff.Persistent {
				w.pass(t.Context(), renew.Manual, named("a", "b")...)
			}
			if !strings.Contains(log.String(), tt.want) {
				t.Errorf("log has no %s:\n%s", tt.want, log.String())
			}
		})
	}
}

// The operator is notified of files that stay broken after the third failure, of an
// end that comes near daily, and of recovery. What is stored is not stored again.
func TestNotifyOfExternal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &recorder{}
		w, s := newWorld(t, e), newShop(t)
		pass := func() { w.pass(t.Context(), renew.Scheduled, s.target()) }
		first := s.Issue(90*day, "shop.test")
		pass()
		must(t, os.Chmod(s.Key, 0o644))
		for _, wait := range []time.Duration{2 * time.Minute, 12 * time.Minute} {
			pass()
			time.Sleep(wait)
		}
		e.wants(t)
		pass()
		e.wants(t, "failing shop: "+s.Key+": can be used by others (mode 0644)")
		must(t, os.Chmod(s.Key, 0o600))
		pass()
		e.wants(t, "recovered shop: ")
		v, err := w.store.Live("shop")
		must(t, err)
		if v.ID != "v000001" {
			t.Errorf("what is unchanged was stored again, as %s", v.ID)
		}

		end := "the external certificate in use ends at " + first.Leaf.NotAfter.UTC().Format(time.RFC3339)
		r := w.pass(t.Context(), renew.Scheduled, s.target())
		if at := r.Next["shop"]; !at.Equal(first.Leaf.NotAfter.Add(-15 * day)) { // a sixth
			t.Errorf("next turn at %v", at)
		}
		time.Sleep(time.Until(r.Next["shop"]))
		pass()
		e.wants(t, "expiring shop: "+end)
		time.Sleep(day)
		r = w.pass(t.Context(), renew.Scheduled, s.target())
		e.wants(t, "expiring shop: "+end)
		if at := time.Until(r.Next["shop"]); at < day-time.Minute || at > day {
			t.Errorf("next turn in %v", at)
		}
		time.Sleep(14 * day)
		pass()
		e.wants(t, "expiring shop: "+end+": "+s.Chain+": the certificate expired at "+first.Leaf.NotAfter.UTC().Format(time.RFC3339)+
			", it is "+time.Now().UTC().Format(time.RFC3339))
		r = w.pass(t.Context(), renew.Scheduled, s.target())
		if at := time.Until(r.Next["shop"]); at < 30*time.Second {
			t.Errorf("next turn in %v", at)
		}
		s.Issue(90*day, "shop.test")
		pass()
		e.wants(t, "recovered shop: ")
	})
}

// A shop has the two files of an external certificate.
type shop struct{ *pairtest.Files }

func newShop(t testing.TB) *shop { return &shop{pairtest.NewFiles(t)} }

// target is the external certificate as its files are now.
func (s *shop) target() renew.Target {
	return renew.Target{Name: "shop", Deploy: renewtest.Servers("relayd"), Issuers: []renew.Issuer{&renew.External{Source: s.Source, Target: "shop"}}}
}
