package rollover

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"keypaird/renew/tlsa"
)

const (
	day = 24 * time.Hour
	mx  = "_25._tcp.mx1.example.org"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// spki is the public half of a key that stands for a name.
func spki(name string) []byte { return []byte("public key " + name) }

func TestAnswered(t *testing.T) {
	one, two := tlsa.Record(spki("k1")), tlsa.Record(spki("k2"))
	query := func(g Observation, after, ttl time.Duration, records ...string) Observation {
		return g.Answered(RecordSet{Records: records, TTL: ttl}, &Key{SPKI: spki("k2")}, now.Add(after))
	}
	g := query(Observation{}, 0, day, one)
	if !g.Since.IsZero() || g.TTL != day {
		t.Fatalf("not there: %+v", g)
	}
	// Caches may have the records without ours for a day yet, whatever TTL ours has.
	g = query(g, time.Hour, time.Minute, one, two)
	if want := now.Add(time.Hour); !g.Since.Equal(want) || !g.TrustedFrom().Equal(want.Add(2*day)) {
		t.Errorf("first seen: since %v, trusted %v", g.Since, g.TrustedFrom())
	}
	g = query(g, day+time.Second, time.Minute, one, two)
	if want := now.Add(time.Hour + 2*time.Minute); !g.TrustedFrom().Equal(want) {
		t.Errorf("the old TTL is over: trusted %v, want %v", g.TrustedFrom(), want)
	}
	if g = g.Failed(fmt.Errorf("no\nanswer")); g.Error != "no; answer" || g.Since.IsZero() {
		t.Errorf("a query that failed: %+v", g)
	}
	if g = query(g, 2*day, time.Minute, one, two); g.Error != "" || !g.Since.Equal(now.Add(time.Hour)) {
		t.Errorf("seen again: %+v", g)
	}
	if g = query(g, 3*day, time.Minute, one); !g.Since.IsZero() {
		t.Errorf("gone: %+v", g)
	}
	if g = query(g, 4*day, time.Minute, one, two); !g.Since.Equal(now.Add(4 * day)) {
		t.Errorf("back: %+v", g)
	}
	if g = query(g, 0, 100*day, two); !g.Since.Equal(now) || g.TTL != maxTTL {
		t.Errorf("the clock was set back: %+v", g)
	}
	partly := Observation{}.Answered(RecordSet{Records: []string{one}, Partly: []string{two}}, &Key{SPKI: spki("k2")}, now)
	if !partly.Since.IsZero() {
		t.Error("shown by some servers only, and believed")
	}
	if none := (Observation{}).Answered(RecordSet{Records: []string{two}}, nil, now); !none.Since.IsZero() {
		t.Error("seen without a next key")
	}
}

// Retired keys are remembered, the last ones.
func TestWithKeys(t *testing.T) {
	d := Record{}.WithKeys("", "a")
	d.Names = map[string]Observation{mx: {Since: now, TTL: time.Hour}}
	d = d.WithKeys("a", "b")
	if len(d.Retired) != 0 || !d.Names[mx].Since.IsZero() || d.Names[mx].TTL != time.Hour {
		t.Errorf("first certificate: %+v", d)
	}
	d = d.WithKeys("b", "c").WithKeys("c", "d")
	if !slices.Equal(d.Retired, []string{"a", "b"}) {
		t.Errorf("after two rolls: %q", d.Retired)
	}
	d.Names = map[string]Observation{mx: {Since: now}}
	if same := d.WithKeys("c", "d"); same.Names[mx].Since.IsZero() || !slices.Equal(same.Retired, d.Retired) {
		t.Errorf("nothing changed: %+v", same)
	}
	if back := d.WithKeys("a", "d"); !slices.Equal(back.Retired, []string{"b", "c"}) {
		t.Errorf("an old one is used again: %q", back.Retired)
	}
	for i := range 20 {
		d = d.WithKeys("c", fmt.Sprint("d", i))
	}
	if len(d.Retired) != maxRetired || d.Retired[maxRetired-1] != "d18" {
		t.Errorf("twenty next keys were dropped: %q", d.Retired)
	}
}

// The record is the one that RFC 6698 asks for.
func TestTLSA(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a, err := NewKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if got := a.TLSA(); a.Type != "ec256" || !strings.HasPrefix(got, "3 1 1 ") || len(got) != 6+64 {
		t.Errorf("%s key: %s", a.Type, got)
	}
	if (*Key)(nil).TLSA() != "" || tlsa.Record(nil) != "" {
		t.Error("no key has a record")
	}
}
