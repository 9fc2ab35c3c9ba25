package renew

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keypaird/renew/rollover"
)

// logger writes to a log that was empty.
func (w *daneWorld) logger() *slog.Logger {
	w.log.Reset()
	return slog.New(slog.NewTextHandler(&w.log, nil))
}

// More records than can be kept are records of which nothing is known: the key is
// kept, and the record of the target can still be written, so that nothing is done
// twice.
func TestDaneFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newDaneWorld(t)
		w.run(t, Scheduled)
		first := w.used(t)
		many := []string{first, w.state(t).Next.TLSA()}
		for i := range 600 {
			many = append(many, fmt.Sprintf("3 1 0 %04x%s", i, strings.Repeat("ab", 500)))
		}
		w.zone.publish(many...)
		time.Sleep(60 * day)
		for range 3 {
			if r := w.run(t, Manual); len(r.Errs) > 0 || strings.Contains(w.log.String(), "not recorded") {
				t.Fatalf("%v\n%s", r.Errs, w.log.String())
			}
		}
		s := w.state(t)
		if n := len(w.keys); n != 2 || w.used(t) != first {
			t.Errorf("%d orders, want two; rolled %t", n, w.used(t) != first)
		}
		if g := s.Record.TLSA.Names[mx2]; !strings.HasPrefix(g.Error, "the TLSA records of all names have ") {
			t.Errorf("error %q", g.Error)
		}
	})
}

// A key that was kept and is lost keeps no certificate from being renewed when
// little time is left; until then, it may still be brought back.
func TestDaneKeyLost(t *testing.T) {
	for _, tt := range []struct {
		name string
		next bool // there is a next key
	}{{"the next takes its place", true}, {"a new one takes its place", false}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newDaneWorld(t)
				w.run(t, Scheduled)
				first, next := w.used(t), w.state(t).Next.TLSA()
				v, err := w.store.Newest(dane.Name)
				must(t, err)
				for _, file := range []string{"privkey.pem", "combined.pem"} {
					must(t, os.WriteFile(filepath.Join(v.Dir, file), []byte("-----BEGIN PRIVATE KEY-----\n"), 0o600))
				}
				if !tt.next {
					file := filepath.Join(w.store.Dir(dane.Name), NextKeyFile)
					must(t, os.Remove(file))
					must(t, os.MkdirAll(filepath.Join(file, "in the way"), 0o700))
				}
				w.zone.publish(first)
				time.Sleep(67 * day)
				r := w.run(t, Force)
				if len(r.Errs) != 1 || len(w.keys) != 1 || !strings.HasPrefix(Remedy(r.Errs[0]), "restore it from a backup") {
					t.Fatalf("with a quarter left: %d orders, %v: %q", len(w.keys), r.Errs, Remedy(errors.Join(r.Errs...)))
				}
				time.Sleep(day)
				w.run(t, Manual)
				if got := w.used(t); got == first || (got == next) != tt.next || !strings.Contains(w.log.String(), "key unreadable") {
					t.Errorf("renewed %t, with the next key %t\n%s", got != first, got == next, w.log.String())
				}
			})
		})
	}
}

// A disk that is at odds is no lost key, until the certificate has ended.
func TestDaneKeyUnread(t *testing.T) {
	w := newDaneWorld(t)
	w.run(t, Scheduled)
	j := &job{Target: dane, state: w.state(t)}
	odd := errors.New("input/output error")
	for _, tt := range []struct {
		after time.Duration
		held  bool
	}{{89 * day, true}, {90 * day, false}} {
		p := Pass{Records: new(Records), Log: w.world.log, Clock: func() time.Time { return time.Now().Add(tt.after) }}
		if key, err := p.replaceLostKey(j, odd); (err != nil) != tt.held || (key == nil) != tt.held {
			t.Errorf("after %v: %v, %v", tt.after, key, err)
		}
	}
}

// Without tlsa the next key is gone for good, and so is what was seen of it.
func TestDaneTakenOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newDaneWorld(t)
		w.run(t, Scheduled)
		first, next := w.used(t), w.state(t).Next.TLSA()
		w.zone.publish(first, next)
		w.run(t, Manual)
		out := dane
		out.TLSA = nil
		pass := func(mode Mode, target Target) {
			p := Pass{Store: w.store, Mode: mode, Log: w.world.log}
			p.Run(t.Context(), w.bind(target))
		}
		file := filepath.Join(w.store.Dir(dane.Name), NextKeyFile)
		pass(Scheduled, out)
		if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the key: %v", err)
		}
		if d := w.state(t).Record.TLSA; !d.Empty() || !d.Made.IsZero() {
			t.Errorf("the record: %+v", d)
		}
		time.Sleep(day)
		pass(Force, dane)
		if got := w.used(t); got != first || w.state(t).Next.TLSA() == next {
			t.Errorf("with tlsa again: rolled %t, the next key is the old one %t", got != first, w.state(t).Next.TLSA() == next)
		}
	})
}

// A disk that does not let go of the next key has it tried again.
func TestDaneNotTakenOut(t *testing.T) {
	w := newDaneWorld(t)
	w.run(t, Scheduled)
	out := dane
	out.TLSA = nil
	j := &job{Target: out, state: w.state(t)}
	must(t, w.store.Close())
	p := Pass{Store: w.store, Records: new(Records), Log: w.world.log}
	p.dropNextKey(j)
	if j.state.Record.TLSA.Empty() {
		t.Error("forgotten, although the key is there")
	}
}

// What a clock that was wrong saw begins anew when it was put right.
func TestDaneClockSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newDaneWorld(t)
		w.run(t, Scheduled)
		first, next := w.used(t), w.state(t).Next.TLSA()
		w.zone.publish(first, next)
		wrong := -10 * 365 * day
		pass := func(mode Mode) {
			p := Pass{
				Store: w.store, Mode: mode, Log: w.world.log,
				Clock: func() time.Time { return time.Now().Add(wrong) },
			}
			p.Run(t.Context(), w.bind(dane))
		}
		pass(Manual)
		if w.state(t).Record.TLSA.Names[mx].Since.IsZero() {
			t.Fatal("the record was not seen")
		}
		wrong = 0
		w.zone.err = errors.New("no answer")
		pass(Force)
		w.zone.err = nil
		pass(Force)
		if w.used(t) != first {
			t.Fatal("rolled at once when the clock was set")
		}
		time.Sleep(2 * time.Hour)
		pass(Manual)
		if s := w.state(t); !s.Rollover(dane).Ready(time.Now()) {
			t.Errorf("not trusted after two TTLs: %+v", s.Record.TLSA)
		}
	})
}

// An order that was under way with the old key is not held against the record of
// the next one.
func TestDaneKeptBy(t *testing.T) {
	for _, tt := range []struct {
		seen time.Duration // ago
		want string
	}{{day, "the order was already pending"}, {time.Hour, "was not visible everywhere for two TTLs"}} {
		w := newDaneWorld(t)
		w.run(t, Scheduled)
		j := &job{Target: dane, state: w.state(t)}
		j.state.Record.TLSA.Names = both(rollover.Observation{At: time.Now(), Since: time.Now().Add(-tt.seen), TTL: time.Hour})
		j.state.Record.TLSA.Made = time.Time{}
		p := Pass{Store: w.store, Records: new(Records), Log: w.logger()}
		p.afterOrder(t.Context(), j, time.Now(), j.state.Leaf)
		if !strings.Contains(w.log.String(), tt.want) {
			t.Errorf("seen %v ago: %s", tt.seen, w.log.String())
		}
	}
}
