package renew

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestNotice(t *testing.T) {
	failed := func(n int) func(*Record) {
		return func(r *Record) {
			r.Orders = map[string]Attempt{"le": {Failures: n, At: now, Next: now.Add(time.Hour), Error: "no", Remedy: "mend it"}}
		}
	}
	refused := func(n int) func(*Record) {
		return func(r *Record) {
			r.Deployments["relayd"] = Deployment{Deployed: "old", Attempt: Attempt{Failures: n, Error: "no such proxy"}}
		}
	}
	told := func(d Told, more ...func(*Record)) func(*Record) {
		return func(r *Record) {
			for _, change := range more {
				change(r)
			}
			r.Told = d
		}
	}
	for _, tt := range []struct {
		name   string
		inUse  *x509.Certificate
		change func(*Record)
		want   Kind // "": nothing is told
		text   string
	}{
		{"all is well", ours(day, 90*day), func(*Record) {}, "", ""},
		{"two failures", ours(61*day, 90*day), failed(2), "", ""},
		{"three failures", ours(61*day, 90*day), failed(3), Failing, "no"},
		{"one failure, less than a quarter left", ours(68*day, 90*day), failed(1), Failing, "no"},
		{"three failures of what is not needed any more", ours(day, 90*day), failed(3), "", ""},
		{"three failures of the first certificate", nil, failed(3), Failing, "no"},
		{"two failures of the first certificate", nil, failed(2), "", ""},
		{"three failures to deploy", ours(day, 90*day), refused(3), Failing, "no such proxy"},
		{"half of what was left is gone", ours(76*day, 90*day), func(*Record) {}, Expiring, "not replaced in time"},
		{"expired, and why", ours(91*day, 90*day), failed(9), Expiring, "not replaced in time: no"},
		{"six-day, half of what was left is gone", ours(5*day, 6*day), func(*Record) {}, Expiring, "not replaced"},
		{"failing, told an hour ago", ours(61*day, 90*day), told(Told{Failing: now.Add(-time.Hour)}, failed(4)), "", ""},
		{"failing, told a day ago", ours(61*day, 90*day), told(Told{Failing: now.Add(-day)}, failed(4)), Failing, "no"},
		{"failing, told in the future", ours(61*day, 90*day), told(Told{Failing: now.Add(9 * day)}, failed(4)), Failing, "no"},
		{"expiring, told that it fails", ours(80*day, 90*day), told(Told{Failing: now.Add(-time.Hour)}, failed(4)), Expiring, "no"},
		{"recovered", ours(day, 90*day), told(Told{Failing: now.Add(-time.Hour)}), Recovered, ""},
		{"recovered from expiring", ours(day, 90*day), told(Told{Expiring: now.Add(-time.Hour)}), Recovered, ""},
		{"failing less often is not recovered", ours(61*day, 90*day), told(Told{Failing: now.Add(-time.Hour)}, failed(1)), "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := State{Leaf: tt.inUse, InUse: tt.inUse, Fingerprint: "f", Live: tt.inUse != nil, Record: with(tt.change)}
			n, ok := notice(now, chat, s)
			if ok != (tt.want != "") || ok && (n.Kind != tt.want || !strings.Contains(n.Error, tt.text)) {
				t.Errorf("notice = %+v, %v; want %q with %q", n, ok, tt.want, tt.text)
			}
		})
	}
}

// An ear hears what a person is told.
type ear struct {
	heard []string
	err   error
}

func (e *ear) Notify(_ context.Context, notices []Notice) error {
	var names []string
	for _, n := range notices {
		names = append(names, n.Target)
	}
	e.heard = append(e.heard, fmt.Sprintf("%s %s: %s", notices[0].Kind, strings.Join(names, " "), notices[0].Error))
	return e.err
}

func (e *ear) wants(t *testing.T, want ...string) {
	t.Helper()
	if strings.Join(e.heard, "\n") != strings.Join(want, "\n") {
		t.Errorf("heard:\n%s\nwant:\n%s", strings.Join(e.heard, "\n"), strings.Join(want, "\n"))
	}
	e.heard = nil
}

// Targets that fail for one reason are told of once, daily, and told to be well
// again; a command that fails is run again.
func TestTelling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, e := newWorld(t), &ear{}
		w.notifier = e
		w.obtain = func(context.Context, Target) error { return errors.New("down") }
		both := named("a", "b")
		for _, wait := range []time.Duration{2 * time.Minute, 12 * time.Minute, 2 * time.Hour} {
			w.pass(t.Context(), Patient, both...)
			time.Sleep(wait)
		}
		e.wants(t, "failing a b: down")
		e.err = errors.New("no mail today")
		for range 23*60 + 30 {
			w.pass(t.Context(), Patient, both...)
			time.Sleep(time.Minute)
		}
		if len(e.heard) != 4 { // after 1, 10, 60 minutes
			t.Errorf("heard %q; a command that fails is to be tried four times in the hour and a half left", e.heard)
		}
		e.heard, e.err, w.obtain = nil, nil, nil
		time.Sleep(2 * day)
		w.pass(t.Context(), Patient, both...)
		e.wants(t, "recovered a b: ")
		time.Sleep(2 * day)
		w.pass(t.Context(), Patient, both...)
		e.wants(t)
	})
}

// A state that cannot be read is told of too, daily.
func TestTellingOfBrokenState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, e := newWorld(t), &ear{}
		w.notifier = e
		w.pass(t.Context(), Patient, named("a")...)
		must(t, os.Chmod(w.store.Dir("a"), 0o777))
		for range 3 {
			w.pass(t.Context(), Patient, named("a")...)
			time.Sleep(10 * time.Hour)
		}
		if len(e.heard) != 1 || !strings.Contains(e.heard[0], "failing a: reading its state: ") {
			t.Errorf("heard %q", e.heard)
		}
		w.pass(t.Context(), Patient, named("a")...)
		if len(e.heard) != 2 {
			t.Errorf("heard %q, want it again after a day", e.heard)
		}
	})
}
