package renew

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"fmt"
	"keypaird/renew/tlsa"
	"slices"
	"strings"
	"testing"
	"time"
)

const mx, mx2 = "_25._tcp.mx1.example.org", "_25._tcp.mx2.example.org"

// dane is a target whose key peers know by records at two names.
var dane = target(func(t *Target) { t.TLSA = []string{mx, mx2} })

// spki is the public half of a key that stands for a name.
func spki(name string) []byte { return []byte("public key " + name) }

// daneState is one of a target with the key "k1" and the next key "k2".
func daneState(names map[string]Sighting) State {
	l := ours(day, 90*day)
	l.RawSubjectPublicKeyInfo = spki("k1")
	rec := done()
	rec.Dane = Dane{Used: tlsa.Record(spki("k1")), Key: tlsa.Record(spki("k2")), Names: names}
	return State{Leaf: l, Fingerprint: "f", Live: true, InUse: l, Record: rec, Next: &Announced{Type: "ec256", SPKI: spki("k2")}}
}

// both is what was seen at both names.
func both(g Sighting) map[string]Sighting { return map[string]Sighting{mx: g, mx2: g} }

func TestChooseKey(t *testing.T) {
	there := func(since, ttl time.Duration) Sighting {
		return Sighting{At: now, Records: []string{tlsa.Record(spki("k1")), tlsa.Record(spki("k2"))}, Since: now.Add(-since), TTL: ttl}
	}
	foreign := Sighting{At: now, Records: []string{tlsa.Record(spki("another"))}, TTL: time.Hour}
	erring := there(day, time.Hour)
	erring.Error = "no answer"
	for _, tt := range []struct {
		name   string
		names  map[string]Sighting
		change func(s *State, t *Target)
		want   KeyChoice // with a certificate
		first  KeyChoice // without
	}{
		{"no TLSA records to heed", nil, func(_ *State, t *Target) { t.TLSA = nil }, FreshKey, FreshKey},
		{"nobody has looked", nil, nil, SameKey, NoKey},
		{"visible for two TTLs", both(there(2*time.Hour, time.Hour)), nil, NextKey, NextKey},
		{"visible for a little less", both(there(2*time.Hour-time.Second, time.Hour)), nil, SameKey, NoKey},
		{"visible, without a TTL", both(there(0, 0)), nil, NextKey, NextKey},
		{"visible at one name only", map[string]Sighting{mx: there(day, time.Hour), mx2: foreign}, nil, SameKey, NoKey},
		{"one name was not looked at", map[string]Sighting{mx: there(day, time.Hour)}, nil, SameKey, NoKey},
		{"long visible, and later at the other name", map[string]Sighting{mx: there(day, time.Hour), mx2: there(time.Hour, time.Hour)}, nil, SameKey, NoKey},
		{"a longer TTL at the other name", map[string]Sighting{mx: there(day, time.Hour), mx2: there(day, day)}, nil, SameKey, NoKey},
		{"the last look failed", map[string]Sighting{mx: there(day, time.Hour), mx2: erring}, nil, SameKey, NoKey},
		{"not there", both(foreign), nil, SameKey, NoKey},
		{"no records at all", both(Sighting{At: now, TTL: time.Minute}), nil, SameKey, NextKey},
		{"no records at one name", map[string]Sighting{mx: {At: now}, mx2: foreign}, nil, SameKey, NoKey},
		{"no records everywhere, some somewhere", both(Sighting{At: now, Partly: foreign.Records}), nil, SameKey, NoKey},
		{"no records that peers can use", both(Sighting{At: now, Records: []string{"1" + tlsa.Record(spki("another"))[1:]}, Partly: []string{"3 1 1 abcd"}}), nil, SameKey, NextKey},
		{"seen before the key was made, by a clock that was wrong", both(there(day, time.Hour)), func(s *State, _ *Target) { s.Record.Dane.Made = now.Add(-time.Hour) }, SameKey, NoKey},
		{"seen when the key was just made", both(there(day, time.Hour)), func(s *State, _ *Target) { s.Record.Dane.Made = now.Add(-day) }, NextKey, NextKey},
		{"no records, but the last look failed", both(Sighting{At: now, Error: "no answer"}), nil, SameKey, NoKey},
		{"seen by a clock that was ahead", both(there(-day, time.Hour)), nil, SameKey, NoKey},
		{"what was seen is of another key", both(there(day, time.Hour)), func(s *State, _ *Target) { s.Next.SPKI = spki("k3") }, SameKey, NoKey},
		{"another type of key is configured", both(there(day, time.Hour)), func(_ *State, t *Target) { t.KeyType = "rsa2048" }, SameKey, NoKey},
		{"no next key", both(Sighting{At: now}), func(s *State, _ *Target) { s.Next = nil }, SameKey, NoKey},
		{"no records, and the next key is of another type", both(Sighting{At: now}), func(_ *State, t *Target) { t.KeyType = "rsa2048" }, SameKey, NoKey},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, target := daneState(tt.names), dane
			if tt.change != nil {
				tt.change(&s, &target)
			}
			if got := ChooseKey(now, target, s); got != tt.want {
				t.Errorf("ChooseKey = %v, want %v", got, tt.want)
			}
			for _, mood := range []Mood{Patient, Asked, Forced} {
				due := s
				leaf := *s.Leaf
				leaf.NotBefore, leaf.NotAfter = now.Add(-80*day), now.Add(10*day)
				due.Leaf = &leaf
				if got := Decide(now, target, due, mood); got.Action != Issue {
					t.Errorf("mood %v: a renewal is not ordered: %v", mood, got)
				}
			}
			s.Leaf, s.InUse, s.Live = nil, nil, false
			if got := ChooseKey(now, target, s); got != tt.first {
				t.Errorf("first certificate: ChooseKey = %v, want %v", got, tt.first)
			}
			held := tt.first == NoKey && tt.names != nil && s.Next != nil
			for _, mood := range []Mood{Patient, Asked, Forced} {
				if got := Decide(now, target, s, mood); (got.Action == Wait) != held || (got.Action == Issue) == held {
					t.Errorf("mood %v: first certificate: %v, want it held: %t", mood, got, held)
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
	s := daneState(both(Sighting{At: now, Records: []string{tlsa.Record(spki("k2"))}, Since: now.Add(-day), TTL: time.Hour}))
	if d := Decide(now, target, s, Patient); d.Action != None {
		t.Errorf("the next key is of the old type: %v", d)
	}
	s.Next.Type = "rsa2048"
	if d := Decide(now, target, s, Patient); d.Action != Issue || d.Why != "key type changed" {
		t.Errorf("the next key is of the new type, and seen: %v", d)
	}
	if d := Decide(now.Add(-23*time.Hour), target, s, Patient); d.Action != None {
		t.Errorf("not seen for long: %v", d)
	}
}

func TestSeen(t *testing.T) {
	one, two := tlsa.Record(spki("k1")), tlsa.Record(spki("k2"))
	look := func(g Sighting, after, ttl time.Duration, records ...string) Sighting {
		return g.seen(View{Records: records, TTL: ttl}, spki("k2"), now.Add(after))
	}
	g := look(Sighting{}, 0, day, one)
	if !g.Since.IsZero() || g.TTL != day {
		t.Fatalf("not there: %+v", g)
	}
	// Caches may have the records without ours for a day yet, whatever TTL ours has.
	g = look(g, time.Hour, time.Minute, one, two)
	if want := now.Add(time.Hour); !g.Since.Equal(want) || !g.trusted().Equal(want.Add(2*day)) {
		t.Errorf("first seen: since %v, trusted %v", g.Since, g.trusted())
	}
	g = look(g, day+time.Second, time.Minute, one, two)
	if want := now.Add(time.Hour + 2*time.Minute); !g.trusted().Equal(want) {
		t.Errorf("the old TTL is over: trusted %v, want %v", g.trusted(), want)
	}
	if g = g.missed(fmt.Errorf("no\nanswer")); g.Error != "no; answer" || g.Since.IsZero() {
		t.Errorf("a look that failed: %+v", g)
	}
	if g = look(g, 2*day, time.Minute, one, two); g.Error != "" || !g.Since.Equal(now.Add(time.Hour)) {
		t.Errorf("seen again: %+v", g)
	}
	if g = look(g, 3*day, time.Minute, one); !g.Since.IsZero() {
		t.Errorf("gone: %+v", g)
	}
	if g = look(g, 4*day, time.Minute, one, two); !g.Since.Equal(now.Add(4 * day)) {
		t.Errorf("back: %+v", g)
	}
	if g = look(g, 0, 100*day, two); !g.Since.Equal(now) || g.TTL != maxTTL {
		t.Errorf("the clock was set back: %+v", g)
	}
	partly := Sighting{}.seen(View{Records: []string{one}, Partly: []string{two}}, spki("k2"), now)
	if !partly.Since.IsZero() {
		t.Error("shown by some servers only, and believed")
	}
	if none := (Sighting{}).seen(View{Records: []string{two}}, nil, now); !none.Since.IsZero() {
		t.Error("seen without a next key")
	}
}

// What names a key, and what has peers refuse it.
func TestRefuses(t *testing.T) {
	leaf := &x509.Certificate{Raw: []byte("certificate"), RawSubjectPublicKeyInfo: spki("k1")}
	short, long := sha256.Sum256(spki("k1")), sha512.Sum512(spki("k1"))
	whole := sha256.Sum256(leaf.Raw)
	other := tlsa.Record(spki("another"))
	for _, tt := range []struct {
		records []string
		named   bool
		refused bool
	}{
		{nil, false, false},
		{[]string{other}, false, true},
		{[]string{other, tlsa.Record(spki("k1"))}, true, false},
		{[]string{fmt.Sprintf("3 1 2 %x", long)}, true, false},
		{[]string{fmt.Sprintf("3 1 0 %x", spki("k1"))}, true, false},
		{[]string{fmt.Sprintf("1 1 1 %x", short)}, false, false},       // nothing that SMTP peers go by
		{[]string{fmt.Sprintf("1 1 1 %x", short), other}, false, true}, // but this is
		{[]string{fmt.Sprintf("3 0 1 %x", whole)}, false, false},       // until the next renewal
		{[]string{fmt.Sprintf("3 0 1 %x", short)}, false, true},
		{[]string{fmt.Sprintf("2 1 1 %x", short)}, false, false}, // of a CA, perhaps
		{[]string{fmt.Sprintf("0 0 1 %x", short), other}, false, true},
		{[]string{fmt.Sprintf("3 1 3 %x", short)}, false, false},
		{[]string{fmt.Sprintf("3 2 1 %x", short)}, false, false},
		{[]string{fmt.Sprintf("3 1 2 %x", short)}, false, false},
		{[]string{"3 1 1 abcd", "3 1 1 xy", "3 1 1", "3 1 0 "}, false, false},
	} {
		if got := tlsa.NamesKey(tt.records, spki("k1")); got != tt.named {
			t.Errorf("%q name the key: %t, want %t", tt.records, got, tt.named)
		}
		if got := tlsa.Refuses(tt.records, leaf); got != tt.refused {
			t.Errorf("%q refuse it: %t, want %t", tt.records, got, tt.refused)
		}
	}
}

// Keys that are not used any more are remembered, the last ones, and those only.
func TestFollow(t *testing.T) {
	d := Dane{}.follow("", "a")
	d.Names = both(Sighting{Since: now, TTL: time.Hour})
	d = d.follow("a", "b")
	if len(d.Former) != 0 || !d.Names[mx].Since.IsZero() || d.Names[mx].TTL != time.Hour {
		t.Errorf("first certificate: %+v", d)
	}
	d = d.follow("b", "c").follow("c", "d")
	if !slices.Equal(d.Former, []string{"a", "b"}) {
		t.Errorf("after two rolls: %q", d.Former)
	}
	d.Names = both(Sighting{Since: now})
	if same := d.follow("c", "d"); same.Names[mx].Since.IsZero() || !slices.Equal(same.Former, d.Former) {
		t.Errorf("nothing changed: %+v", same)
	}
	if back := d.follow("a", "d"); !slices.Equal(back.Former, []string{"b", "c"}) {
		t.Errorf("an old one is used again: %q", back.Former)
	}
	for i := range 20 {
		d = d.follow("c", fmt.Sprint("d", i))
	}
	if len(d.Former) != maxFormer || d.Former[maxFormer-1] != "d18" {
		t.Errorf("twenty next keys were dropped: %q", d.Former)
	}
}

// The record is the one that RFC 6698 asks for.
func TestTLSA(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	a, err := newAnnounced(key)
	must(t, err)
	if got := a.TLSA(); a.Type != "ec256" || !strings.HasPrefix(got, "3 1 1 ") || len(got) != 6+64 {
		t.Errorf("%s key: %s", a.Type, got)
	}
	if (*Announced)(nil).TLSA() != "" || tlsa.Record(nil) != "" {
		t.Error("no key has a record")
	}
}
