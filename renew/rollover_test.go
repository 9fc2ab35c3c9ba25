package renew

import (
	"testing"
	"time"

	"keypaird/renew/rollover"
	"keypaird/renew/tlsa"
)

const mx, mx2 = "_25._tcp.mx1.example.org", "_25._tcp.mx2.example.org"

// dane is a target whose key peers know by records at two names.
var dane = target(func(t *Target) { t.TLSA = []string{mx, mx2} })

// spki is the public half of a key that stands for a name.
func spki(name string) []byte { return []byte("public key " + name) }

// daneState is one of a target with the key "k1" and the next key "k2".
func daneState(names map[string]rollover.Observation) State {
	l := ours(day, 90*day)
	l.RawSubjectPublicKeyInfo = spki("k1")
	rec := done()
	rec.TLSA = TLSARecord{Record: rollover.Record{Used: tlsa.Record(spki("k1")), Next: tlsa.Record(spki("k2")), Names: names}}
	return State{Leaf: l, Fingerprint: "f", Live: true, InUse: l, Record: rec, Next: &rollover.Key{Type: "ec256", SPKI: spki("k2")}}
}

// both is what was seen at both names.
func both(g rollover.Observation) map[string]rollover.Observation {
	return map[string]rollover.Observation{mx: g, mx2: g}
}

func TestChooseKey(t *testing.T) {
	there := func(since, ttl time.Duration) rollover.Observation {
		return rollover.Observation{At: now, Records: []string{tlsa.Record(spki("k1")), tlsa.Record(spki("k2"))}, Since: now.Add(-since), TTL: ttl}
	}
	foreign := rollover.Observation{At: now, Records: []string{tlsa.Record(spki("another"))}, TTL: time.Hour}
	erring := there(day, time.Hour)
	erring.Error = "no answer"
	for _, tt := range []struct {
		name   string
		names  map[string]rollover.Observation
		change func(s *State, t *Target)
		want   rollover.KeyChoice // with a certificate
		first  rollover.KeyChoice // without
	}{
		{"no TLSA records to heed", nil, func(_ *State, t *Target) { t.TLSA = nil }, rollover.FreshKey, rollover.FreshKey},
		{"nobody has looked", nil, nil, rollover.SameKey, rollover.NoKey},
		{"visible for two TTLs", both(there(2*time.Hour, time.Hour)), nil, rollover.NextKey, rollover.NextKey},
		{"visible for a little less", both(there(2*time.Hour-time.Second, time.Hour)), nil, rollover.SameKey, rollover.NoKey},
		{"visible, without a TTL", both(there(0, 0)), nil, rollover.NextKey, rollover.NextKey},
		{"visible at one name only", map[string]rollover.Observation{mx: there(day, time.Hour), mx2: foreign}, nil, rollover.SameKey, rollover.NoKey},
		{"one name was not looked at", map[string]rollover.Observation{mx: there(day, time.Hour)}, nil, rollover.SameKey, rollover.NoKey},
		{"long visible, and later at the other name", map[string]rollover.Observation{mx: there(day, time.Hour), mx2: there(time.Hour, time.Hour)}, nil, rollover.SameKey, rollover.NoKey},
		{"a longer TTL at the other name", map[string]rollover.Observation{mx: there(day, time.Hour), mx2: there(day, day)}, nil, rollover.SameKey, rollover.NoKey},
		{"the last look failed", map[string]rollover.Observation{mx: there(day, time.Hour), mx2: erring}, nil, rollover.SameKey, rollover.NoKey},
		{"not there", both(foreign), nil, rollover.SameKey, rollover.NoKey},
		{"no records at all", both(rollover.Observation{At: now, TTL: time.Minute}), nil, rollover.SameKey, rollover.NextKey},
		{"no records at one name", map[string]rollover.Observation{mx: {At: now}, mx2: foreign}, nil, rollover.SameKey, rollover.NoKey},
		{"no records everywhere, some somewhere", both(rollover.Observation{At: now, Partly: foreign.Records}), nil, rollover.SameKey, rollover.NoKey},
		{"no records that peers can use", both(rollover.Observation{At: now, Records: []string{"1" + tlsa.Record(spki("another"))[1:]}, Partly: []string{"3 1 1 abcd"}}), nil, rollover.SameKey, rollover.NextKey},
		{"seen before the key was made, by a clock that was wrong", both(there(day, time.Hour)), func(s *State, _ *Target) { s.Record.TLSA.Made = now.Add(-time.Hour) }, rollover.SameKey, rollover.NoKey},
		{"seen when the key was just made", both(there(day, time.Hour)), func(s *State, _ *Target) { s.Record.TLSA.Made = now.Add(-day) }, rollover.NextKey, rollover.NextKey},
		{"no records, but the last look failed", both(rollover.Observation{At: now, Error: "no answer"}), nil, rollover.SameKey, rollover.NoKey},
		{"seen by a clock that was ahead", both(there(-day, time.Hour)), nil, rollover.SameKey, rollover.NoKey},
		{"what was seen is of another key", both(there(day, time.Hour)), func(s *State, _ *Target) { s.Next.SPKI = spki("k3") }, rollover.SameKey, rollover.NoKey},
		{"another type of key is configured", both(there(day, time.Hour)), func(_ *State, t *Target) { t.KeyType = "rsa2048" }, rollover.SameKey, rollover.NoKey},
		{"no next key", both(rollover.Observation{At: now}), func(s *State, _ *Target) { s.Next = nil }, rollover.SameKey, rollover.NoKey},
		{"no records, and the next key is of another type", both(rollover.Observation{At: now}), func(_ *State, t *Target) { t.KeyType = "rsa2048" }, rollover.SameKey, rollover.NoKey},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, target := daneState(tt.names), dane
			if tt.change != nil {
				tt.change(&s, &target)
			}
			if got := s.Rollover(target).ChooseKey(now); got != tt.want {
				t.Errorf("ChooseKey = %v, want %v", got, tt.want)
			}
			for _, mode := range []Mode{Scheduled, Manual, Force} {
				due := s
				leaf := *s.Leaf
				leaf.NotBefore, leaf.NotAfter = now.Add(-80*day), now.Add(10*day)
				due.Leaf = &leaf
				if got := Decide(now, target, due, mode); got.Action != Issue {
					t.Errorf("mode %v: a renewal is not ordered: %v", mode, got)
				}
			}
			s.Leaf, s.InUse, s.Live = nil, nil, false
			if got := s.Rollover(target).ChooseKey(now); got != tt.first {
				t.Errorf("first certificate: ChooseKey = %v, want %v", got, tt.first)
			}
			held := tt.first == rollover.NoKey && tt.names != nil && s.Next != nil
			for _, mode := range []Mode{Scheduled, Manual, Force} {
				if got := Decide(now, target, s, mode); (got.Action == Wait) != held || (got.Action == Issue) == held {
					t.Errorf("mode %v: first certificate: %v, want it held: %t", mode, got, held)
				}
			}
		})
	}
}

// Another type of key is no reason for a certificate before that key's record was
// seen.
func TestKeyTypeOfDane(t *testing.T) {
	target := dane
	target.KeyType = "rsa2048"
	s := daneState(both(rollover.Observation{At: now, Records: []string{tlsa.Record(spki("k2"))}, Since: now.Add(-day), TTL: time.Hour}))
	if d := Decide(now, target, s, Scheduled); d.Action != None {
		t.Errorf("the next key is of the old type: %v", d)
	}
	s.Next.Type = "rsa2048"
	if d := Decide(now, target, s, Scheduled); d.Action != Issue || d.Why != "key type changed" {
		t.Errorf("the next key is of the new type, and seen: %v", d)
	}
	if d := Decide(now.Add(-23*time.Hour), target, s, Scheduled); d.Action != None {
		t.Errorf("not seen for long: %v", d)
	}
}
