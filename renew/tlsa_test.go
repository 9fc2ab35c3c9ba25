package renew

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"keypaird/renew/backoff"
	"keypaird/renew/keypair"
	"keypaird/renew/rollover"
	"keypaird/renew/tlsa"
)

// A zone is what the name servers show of a target, and how often they were asked.
type zone struct {
	mu      sync.Mutex
	records map[string][]string
	ttl     time.Duration
	err     error
	looks   int
}

func (z *zone) TLSA(_ context.Context, name string) (rollover.RecordSet, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.looks++
	return rollover.RecordSet{Records: z.records[name], TTL: z.ttl}, z.err
}

// publish has every name show just these records.
func (z *zone) publish(records ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.records = map[string][]string{mx: records, mx2: records}
}

// A daneWorld is a world with a zone, and a CA that certifies the key it is given.
type daneWorld struct {
	*world
	zone *zone
	log  bytes.Buffer
	keys []crypto.Signer // of the orders
	dead error           // of the CA
}

func newDaneWorld(t *testing.T) *daneWorld {
	w := &daneWorld{world: newWorld(t), zone: &zone{ttl: time.Hour}}
	w.world.certify = func(t Target, o Order) (*keypair.Pair, error) {
		w.keys = append(w.keys, o.Key)
		if w.dead != nil {
			return nil, w.dead
		}
		if o.Key == nil {
			return issue(t.Names, time.Now(), 90*day)
		}
		return issueFor(o.Key, t.Names, time.Now(), 90*day)
	}
	return w
}

// bind binds a target to the world and its zone.
func (w *daneWorld) bind(t Target) []Target {
	if len(t.TLSA) > 0 {
		t.Resolver = w.zone
	}
	return w.world.bind(t)
}

func (w *daneWorld) run(t *testing.T, mode Mode) Report {
	t.Helper()
	p := Pass{Store: w.store, Mode: mode, Log: w.logger()}
	return p.Run(t.Context(), w.bind(dane))
}

// state is what is on disk.
func (w *daneWorld) state(t *testing.T) State {
	t.Helper()
	s, err := loadState(w.store, dane.Name)
	must(t, err)
	must(t, LoadNextKey(w.store, dane, &s))
	return s
}

func (w *daneWorld) used(t *testing.T) string {
	return tlsa.Record(w.state(t).Leaf.RawSubjectPublicKeyInfo)
}

// The whole life: the first key, a renewal without the record of the next, one
// with it, and what may be removed then.
func TestDaneLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newDaneWorld(t)
		w.run(t, Scheduled)
		first, next := w.used(t), w.state(t).Next.TLSA()
		if first == next || !strings.Contains(w.log.String(), tlsa.ZoneLine(mx2, first)) || !strings.Contains(w.log.String(), tlsa.ZoneLine(mx, next)) {
			t.Fatalf("key %s, next %s; told:\n%s", first, next, w.log.String())
		}
		w.zone.publish(first)
		time.Sleep(60 * day)
		if r := w.run(t, Scheduled); len(r.Done) != 1 || w.used(t) != first || w.state(t).Next.TLSA() != next {
			t.Fatalf("without the record: %+v, key %s", r, w.used(t))
		}
		if !strings.Contains(w.log.String(), "key kept") || strings.Contains(w.log.String(), tlsa.ZoneLine(mx, first)) || !strings.Contains(w.log.String(), tlsa.ZoneLine(mx, next)) {
			t.Errorf("told:\n%s", w.log.String())
		}
		w.zone.publish(first, next)
		w.run(t, Manual)
		time.Sleep(2*time.Hour - time.Second)
		w.run(t, Force)
		if w.used(t) != first {
			t.Fatal("rolled a second before two TTLs were over")
		}
		time.Sleep(time.Second)
		w.run(t, Force)
		s := w.state(t)
		if w.used(t) != next || s.Next.TLSA() == next || strings.Contains(w.log.String(), "key kept") {
			t.Fatalf("not rolled after two TTLs:\n%s", w.log.String())
		}
		w.run(t, Manual)
		if old, now := w.state(t).Rollover(dane).Removable(mx); !slices.Equal(old, []string{first}) || !now {
			t.Errorf("may be removed: %q, now %t", old, now)
		}
		if w.state(t).Rollover(dane).RolloverAt() != (time.Time{}) {
			t.Error("the key after the next can be trusted in at once")
		}
	})
}

// Nobody is asked more often than makes sense, and the loop wakes in time.
func TestDaneLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newDaneWorld(t)
		w.zone.ttl = time.Second
		w.run(t, Scheduled)
		w.zone.looks = 0
		r := w.run(t, Scheduled)
		if at := r.Next[dane.Name]; w.zone.looks != 2 || time.Until(at) < 5*time.Minute-time.Second {
			t.Errorf("%d looks after a roll, next in %v", w.zone.looks, time.Until(at))
		}
		for range 60 {
			w.run(t, Scheduled)
			time.Sleep(time.Minute)
		}
		if n := w.zone.looks; n != 2+2*12-2 {
			t.Errorf("%d looks in an hour", n)
		}
		w.zone.looks = 0
		w.zone.publish(w.used(t), w.state(t).Next.TLSA())
		w.run(t, Manual)
		for range 60 {
			time.Sleep(time.Minute)
			w.run(t, Scheduled)
		}
		if n := w.zone.looks; n != 2*2 {
			t.Errorf("%d looks in an hour at what is in order", n)
		}
	})
}

// A name server that cannot be asked keeps the key, and does not keep from
// renewing; a first certificate waits.
func TestDaneUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newDaneWorld(t)
		w.zone.err = errors.New("no answer")
		r := w.run(t, Force)
		wantErrors(t, r.Errs, "not ordered, it is not known which TLSA records there are: "+mx+": no answer")
		if fix := Remedy(r.Errs[0]); !strings.HasPrefix(fix, "see that the name servers answer, or correct resolvers in ") {
			t.Errorf("remedy: %s", fix)
		}
		if len(w.keys) != 0 || w.state(t).Record.TLSA.Attempt.Failures != 1 {
			t.Fatal("ordered, or nobody knows")
		}
		w.zone.err = nil
		w.run(t, Scheduled) // the look is not due
		time.Sleep(rollover.RetryAfterMismatch)
		w.run(t, Scheduled)
		first := w.used(t)
		w.zone.publish(first, w.state(t).Next.TLSA())
		w.run(t, Manual)
		time.Sleep(70 * day)
		w.zone.err = errors.New("no answer")
		if r := w.run(t, Scheduled); len(r.Done) != 1 || w.used(t) != first {
			t.Errorf("%+v, rolled %t", r, w.used(t) != first)
		}
		w.zone.err = nil
		if w.run(t, Force); w.used(t) == first {
			t.Error("not rolled, although it was seen before and after")
		}
	})
}

// What peers refuse is told of, and that it is over.
func TestDaneRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newDaneWorld(t)
		w.run(t, Scheduled)
		w.zone.publish(tlsa.Record(spki("another")))
		for i := range backoff.Persistent {
			w.run(t, Manual)
			if told := strings.Contains(w.log.String(), "TLSA records do not match"); told != (i == 0) {
				t.Errorf("look %d: told %t", i, told)
			}
		}
		s := w.state(t)
		cause := s.Record.TLSA.Attempt
		if cause.Failures != backoff.Persistent || !strings.Contains(cause.Remedy, tlsa.ZoneLine(mx, w.used(t))) || !slices.Equal(s.Rollover(dane).Mismatched(), dane.TLSA) {
			t.Errorf("%+v", cause)
		}
		w.zone.publish(w.used(t))
		w.run(t, Manual)
		if kind := w.state(t).Record.TLSA.Attempt.Failures; kind != 0 {
			t.Errorf("still %v", kind)
		}
	})
}

// Wherever we are killed, no key is used whose record was not seen, and the key of
// what was stored is never taken for the next one.
func TestDaneKilled(t *testing.T) {
	next := func(w *daneWorld) string { return filepath.Join(w.store.Dir(dane.Name), NextKeyFile) }
	for _, tt := range []struct {
		name string
		harm func(t *testing.T, w *daneWorld, before []byte)
	}{
		{"before the next key was made", func(t *testing.T, w *daneWorld, before []byte) {
			must(t, w.store.WriteFile(dane.Name, NextKeyFile, before))
		}},
		{"and the record is of before, too", func(t *testing.T, w *daneWorld, before []byte) {
			must(t, w.store.WriteFile(dane.Name, NextKeyFile, before))
			must(t, w.store.RemoveAll(dane.Name, "record.json"))
		}},
		{"the next key is gone", func(t *testing.T, w *daneWorld, _ []byte) { must(t, os.Remove(next(w))) }},
		{"the next key is half there", func(t *testing.T, w *daneWorld, _ []byte) { must(t, os.Truncate(next(w), 40)) }},
		{"the next key is empty", func(t *testing.T, w *daneWorld, _ []byte) { must(t, os.Truncate(next(w), 0)) }},
		{"the record is gone", func(t *testing.T, w *daneWorld, _ []byte) { must(t, w.store.RemoveAll(dane.Name, "record.json")) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newDaneWorld(t)
				w.run(t, Scheduled)
				one, two := w.used(t), w.state(t).Next.TLSA()
				w.zone.publish(one, two)
				w.run(t, Manual)
				time.Sleep(day)
				before, err := w.store.ReadFile(dane.Name, NextKeyFile)
				must(t, err)
				w.run(t, Force)
				if w.used(t) != two {
					t.Fatal("not rolled")
				}
				tt.harm(t, w, before)
				w.run(t, Force)
				s := w.state(t)
				if w.used(t) != two || s.Next == nil || s.Next.TLSA() == two || s.Record.TLSA.Next != s.Next.TLSA() {
					t.Errorf("rolled %t, next %v", w.used(t) != two, s.Next.TLSA())
				}
			})
		})
	}
}

// The order fails after the record was seen: the next try has the same key.
func TestDaneOrderFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newDaneWorld(t)
		w.run(t, Scheduled)
		next := w.state(t).Next
		w.zone.publish(w.used(t), next.TLSA())
		w.run(t, Manual)
		time.Sleep(day)
		w.keys, w.dead = nil, errors.New("down")
		w.run(t, Force)
		w.dead = nil
		w.run(t, Force)
		if len(w.keys) != 2 || w.used(t) != next.TLSA() {
			t.Fatalf("%d orders, rolled %t", len(w.keys), w.used(t) == next.TLSA())
		}
		for _, key := range w.keys {
			if a, err := rollover.NewKey(key); err != nil || a.TLSA() != next.TLSA() {
				t.Errorf("an order for another key, %v", err)
			}
		}
	})
}

// A disk that does not take the next key keeps no certificate from being renewed.
func TestDaneKeyNotWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newDaneWorld(t)
		w.run(t, Scheduled)
		first := w.used(t)
		file := filepath.Join(w.store.Dir(dane.Name), NextKeyFile)
		must(t, os.Remove(file))
		must(t, os.MkdirAll(filepath.Join(file, "in the way"), 0o700))
		time.Sleep(70 * day)
		if r := w.run(t, Scheduled); len(r.Done) != 1 || w.used(t) != first || !strings.Contains(w.log.String(), "no next key") {
			t.Errorf("%+v\n%s", r, w.log.String())
		}
	})
}

// A deployment that fails goes back to the key that was in use, which may have no TLSA record
// any more: peers refused it before, too. That is told in the next pass, with its record, and
// none that is still needed counts as removable.
func TestDaneDeploymentFails(t *testing.T) {
	for _, kept := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w := newDaneWorld(t)
			w.run(t, Scheduled)
			first, next := w.used(t), w.state(t).Next.TLSA()
			w.zone.publish(first, next)
			w.run(t, Manual)
			time.Sleep(2 * time.Hour)
			if !kept {
				w.zone.publish(next)
			}
			w.deploy = reloadFails
			w.run(t, Force)
			if w.used(t) != next {
				t.Fatal("not rolled")
			}
			w.run(t, Scheduled)
			s := w.state(t)
			inUse := tlsa.Record(s.InUse.RawSubjectPublicKeyInfo)
			remedy := s.Record.TLSA.Attempt.Remedy
			if inUse != first || (remedy == "") != kept || !kept && !strings.Contains(remedy, tlsa.ZoneLine(mx, first)) {
				t.Errorf("in use %s, want %s; remedy %q", inUse, first, remedy)
			}
			if old, now := s.Rollover(dane).Removable(mx); now {
				t.Errorf("may be removed: %q", old)
			}
			time.Sleep(day)
			w.deploy = nil
			w.run(t, Scheduled)
			w.run(t, Manual)
			if s = w.state(t); s.Record.TLSA.Attempt.Failures != 0 || tlsa.Record(s.InUse.RawSubjectPublicKeyInfo) != next {
				t.Errorf("deployed, and still %+v", s.Record.TLSA.Attempt)
			}
		})
	}
}

// A revoked certificate has another key after it, but not before peers know that: until then it
// is held. An operator who forces it, and a certificate that has expired, have the same key.
func TestDaneRevoked(t *testing.T) {
	for _, tt := range []struct {
		name   string
		after  time.Duration
		mode   Mode
		newKey bool // asked for
		orders bool
	}{
		{"held", day, Scheduled, false, false},
		{"held, an operator asks", day, Manual, false, false},
		{"forced", day, Force, false, true},
		{"forced, with a new key", day, Force, true, false},
		{"expired", 90 * day, Scheduled, false, true},
		{"expired, an operator asks for a new key", 90 * day, Manual, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newDaneWorld(t)
				w.run(t, Scheduled)
				first := w.used(t)
				w.zone.publish(first)
				s := w.state(t)
				s.Record.SetRevoked(s.Fingerprint, time.Now())
				must(t, new(Records).Save(w.store, dane.Name, s.Record))
				w.run(t, Scheduled)
				time.Sleep(tt.after)
				p, target := Pass{Store: w.store, Mode: tt.mode, Log: w.logger()}, dane
				target.NewKey = tt.newKey
				r := p.Run(t.Context(), w.bind(target))
				if (len(w.keys) == 2) != tt.orders || w.used(t) != first {
					t.Errorf("%d orders, %v; the same key: %v", len(w.keys), r.Errs, w.used(t) == first)
				}
				remedy := "and keypaird continues two TTLs later"
				if tt.newKey {
					remedy = "and two TTLs later run this again"
				}
				if text := Remedy(errors.Join(r.Errs...)); tt.mode != Scheduled && !tt.orders && !strings.Contains(text, remedy) {
					t.Errorf("remedy %q", text)
				}
				if s = w.state(t); tt.orders && s.revoked(s.Leaf) {
					t.Error("the next one counts as revoked")
				}
			})
		})
	}
}
