package renew

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keypaird/renew/keypair"
	"keypaird/renew/testutil"
	"keypaird/renew/tlsa"
)

// A daneMember is a machine that shares a target with TLSA records.
type daneMember struct {
	*member
	zone *zone
	told *testutil.Log
	drop bool // Take removes the next key
}

func (m *daneMember) Take(ctx context.Context, s State) (*Taken, error) {
	if m.drop {
		m.drop = false
		if err := m.store.RemoveAll(m.target().Name, NextKeyFile); err != nil {
			return nil, err
		}
	}
	return m.member.Take(ctx, s)
}

func newDaneMember(m *member) *daneMember {
	d := &daneMember{member: m, zone: &zone{ttl: time.Hour}, told: new(testutil.Log)}
	m.log = slog.New(slog.NewTextHandler(d.told, nil))
	m.certify = func(t Target, o Order) (*keypair.Pair, error) { return issueFor(o.Key, t.Names, time.Now(), 90*day) }
	return d
}

func (m *daneMember) target() Target {
	t := dane
	t.Sharing, t.Resolver = m, m.zone
	return t
}

func (m *daneMember) run(t *testing.T, mode Mode) Report {
	t.Helper()
	return m.report(t.Context(), mode, m.target())
}

// shown is the state as status shows it.
func (m *daneMember) shown(t *testing.T) State {
	t.Helper()
	target := m.bind(m.target())[0]
	s, err := LoadState(m.store, target)
	must(t, err)
	must(t, LoadNextKey(m.store, target, &s))
	LoadHolds(time.Now(), target, &s, Scheduled)
	return s
}

// The record of a next key is shown once the other machines have the key: without them,
// none is shown, nor is anything ordered for that key.
func TestDaneKeyKeptFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, members := newFleet(t, "one", "two")
		m := newDaneMember(members[0])
		away := errors.New("the engine is away")
		f.keep = func(*member, State) error { return away }
		r := m.run(t, Scheduled)
		if s := m.shown(t); len(m.obtained) != 0 || s.Next != nil || len(s.Record.Orders) != 0 || strings.Contains(m.told.String(), "IN TLSA") {
			t.Fatalf("ordered %q, next key %s, failures %v; told:\n%s", m.obtained, s.Next.TLSA(), s.Record.Orders, m.told)
		}
		if len(r.Errs) != 1 || !errors.Is(r.Errs[0], away) {
			t.Errorf("errors %v", r.Errs)
		}
		var kept []string
		f.keep = func(_ *member, s State) error {
			next := s.Record.TLSA.Next
			if s.Next.TLSA() != next || m.shown(t).Next.TLSA() == next || strings.Contains(m.told.String(), next) {
				t.Errorf("the next key was shown before it was kept:\n%s", m.told)
			}
			kept = append(kept, next)
			return nil
		}
		wantErrors(t, m.run(t, Scheduled).Errs)
		s := m.shown(t)
		if len(kept) != 2 || kept[0] != tlsa.Record(s.Leaf.RawSubjectPublicKeyInfo) || kept[1] != s.Next.TLSA() {
			t.Errorf("kept %q, used %s, next %s", kept, tlsa.Record(s.Leaf.RawSubjectPublicKeyInfo), s.Next.TLSA())
		}
		if !strings.Contains(m.told.String(), tlsa.ZoneLine(mx2, kept[1])) {
			t.Errorf("told:\n%s", m.told)
		}
		m.run(t, Manual)
		if len(kept) != 2 {
			t.Errorf("kept again: %q", kept)
		}
	})
}

// Earlier records may go once every machine has verified the newest certificate, whether it
// lives or not. That does not hold up the next roll.
func TestDaneEarlierRecordsOfFleet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, members := newFleet(t, "one", "two")
		m := newDaneMember(members[0])
		roll := func() (used string) {
			t.Helper()
			m.run(t, Manual)
			next := m.shown(t).Next.TLSA()
			m.zone.publish(slices.Concat(m.zone.records[mx], []string{next})...)
			m.run(t, Manual)
			time.Sleep(2 * time.Hour)
			m.run(t, Force)
			if used = tlsa.Record(m.shown(t).Leaf.RawSubjectPublicKeyInfo); used != next {
				t.Fatalf("not rolled to %s, but %s", next, used)
			}
			m.run(t, Manual)
			return used
		}
		removable := func(want []string, now bool, missing ...string) {
			t.Helper()
			s := m.shown(t)
			if old, ok := s.Rollover(m.target()).Removable(mx); !slices.Equal(old, want) || ok != now || !slices.Equal(s.Unverified, missing) {
				t.Errorf("may be removed: %q, now %t, missing %q; want %q, %t, %q", old, ok, s.Unverified, want, now, missing)
			}
		}
		m.run(t, Scheduled)
		first := tlsa.Record(m.shown(t).Leaf.RawSubjectPublicKeyInfo)
		m.zone.publish(first)
		f.missing = []string{"two"}
		second := roll()
		removable([]string{first}, false, "two")
		third := roll()
		removable([]string{first, second}, false, "two")
		f.missing = nil
		m.run(t, Manual)
		removable([]string{first, second}, true)
		f.missing = []string{"two"} // what is known stays: two writes its report anew
		removable([]string{first, second}, true, "two")
		roll()
		removable([]string{first, second, third}, false, "two")
	})
}

// A next key that the fleet drops is used no more, even if its record is published. The pass
// makes another one, and a new key is ordered once the record of that is seen: until then the
// key in use stays, whose record must, too.
func TestDaneNextKeyDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, members := newFleet(t, "one", "two")
		m := newDaneMember(members[0])
		renewed := func() string {
			t.Helper()
			target := m.target()
			target.NewKey = true
			m.report(t.Context(), Force, target)
			return tlsa.Record(m.shown(t).Leaf.RawSubjectPublicKeyInfo)
		}
		m.run(t, Scheduled)
		s := m.shown(t)
		used, dropped := tlsa.Record(s.Leaf.RawSubjectPublicKeyInfo), s.Next.TLSA()
		m.zone.publish(used, dropped)
		m.run(t, Manual)
		time.Sleep(2 * time.Hour)
		m.drop = true
		if now := renewed(); now != used {
			t.Fatalf("ordered for %s; dropped was %s", now, dropped)
		}
		s = m.shown(t)
		next := s.Next.TLSA()
		if next == "" || next == dropped || !slices.Equal(s.Record.TLSA.Retired, []string{dropped}) {
			t.Errorf("next %q, retired %q, dropped %s", next, s.Record.TLSA.Retired, dropped)
		}
		if old, _ := s.Rollover(m.target()).Removable(mx); !slices.Equal(old, []string{dropped}) {
			t.Errorf("may be removed: %q", old)
		}
		m.zone.publish(used, next)
		m.run(t, Manual)
		if now := renewed(); now != used {
			t.Errorf("ordered for %s before its record was seen for two TTLs", now)
		}
		time.Sleep(2 * time.Hour)
		if now := renewed(); now != next {
			t.Errorf("ordered for %s, not for %s", now, next)
		}
	})
}

// After a rollback, the key of the newer certificate may be in use until every machine has
// verified the older one anew.
func TestDaneRolledBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, members := newFleet(t, "one", "two")
		m := newDaneMember(members[0])
		m.run(t, Scheduled)
		first := *f.have
		used := tlsa.Record(first.Pair.Leaf.RawSubjectPublicKeyInfo)
		m.zone.publish(used)
		m.run(t, Manual)
		next := m.shown(t).Next.TLSA()
		m.zone.publish(used, next)
		m.run(t, Manual)
		time.Sleep(2 * time.Hour)
		f.missing = []string{"two"}
		m.run(t, Force)
		m.run(t, Manual)
		s := m.shown(t)
		if tlsa.Record(s.Leaf.RawSubjectPublicKeyInfo) != next {
			t.Fatalf("not rolled to %s: %+v", next, s.Record.TLSA)
		}
		f.have = &Taken{Pair: first.Pair, Ordering: s.Record.Ordering, Serial: f.have.Serial + 1}
		f.have.Ordering.TLSA.Everywhere = first.Pair.Fingerprint() // as an earlier version of keypaird left it
		for range 3 {
			m.run(t, Manual)
			s = m.shown(t)
			if old, now := s.Rollover(m.target()).Removable(mx); s.Fingerprint != first.Pair.Fingerprint() || !slices.Equal(old, []string{next}) || now {
				t.Errorf("may be removed: %q, now %t; want %q, later", old, now, next)
			}
		}
		f.missing = nil
		m.run(t, Manual)
		f.missing = []string{"two"} // it writes its report anew
		s = m.shown(t)
		if old, now := s.Rollover(m.target()).Removable(mx); !slices.Equal(old, []string{next}) || !now {
			t.Errorf("verified everywhere, may be removed: %q, now %t", old, now)
		}
	})
}
