package rollover

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"keypaird/renew/problem"
	"keypaird/renew/tlsa"
)

// An earlier certificate is refused unless each server has its record at each name, and had it
// for two TTLs as far as is known, or none has any that peers use.
func TestRefused(t *testing.T) {
	leaf := &x509.Certificate{RawSubjectPublicKeyInfo: spki("k1")}
	own, other, unusable, anyCA := tlsa.Record(spki("k1")), tlsa.Record(spki("k2")), "3 1 1 00", "2 0 1 "+strings.Repeat("00", 32)
	was := func(records ...string) Observation {
		return Observation{At: now.Add(-time.Hour), Records: records, TTL: time.Hour, TTLAt: now.Add(-time.Hour)}
	}
	for _, tt := range []struct {
		all, partly []string
		last        Observation
		refused     string
	}{
		{nil, nil, Observation{}, ""},
		{[]string{own}, nil, Observation{}, ""},
		{[]string{own, other}, []string{other}, Observation{}, ""},
		{[]string{unusable}, nil, Observation{}, ""},
		{[]string{other}, nil, Observation{}, tlsa.ZoneLine(mx, own)},
		{[]string{other}, []string{own}, Observation{}, tlsa.ZoneLine(mx, own)},
		{nil, []string{own}, Observation{}, tlsa.ZoneLine(mx, own)},
		{[]string{unusable}, []string{other}, Observation{}, tlsa.ZoneLine(mx, own)},
		{[]string{anyCA}, nil, Observation{}, ""},
		{[]string{own, other}, nil, was(own), ""},
		{[]string{own, other}, nil, was(other), "after 2026-03-01T14:00:00Z"},
		{[]string{own, unusable}, nil, was(other), "after 2026-03-01T14:00:00Z"},
		{[]string{own}, nil, was(), "after 2026-03-01T14:00:00Z"},
		{[]string{own, anyCA}, nil, was(anyCA), ""},
		{[]string{own, other}, nil, was(own).Answered(RecordSet{Records: []string{other}, TTL: time.Hour}, nil, now.Add(-time.Minute)), "after 2026-03-01T14:00:00Z"},
		{[]string{own, other}, nil, was(other).Answered(RecordSet{Records: []string{own, other}, TTL: time.Hour}, nil, now.Add(-time.Minute)), "after 2026-03-01T13:59:00Z"},
		{[]string{own, other}, nil, was(other).Answered(RecordSet{Records: []string{own, other}, TTL: time.Hour}, nil, now.Add(-2*time.Hour)), ""},
	} {
		err := Refused(leaf, "example.org", mx, tt.last, RecordSet{Records: tt.all, Partly: tt.partly, TTL: time.Hour}, now)
		if (err != nil) != (tt.refused != "") || !strings.Contains(problem.Remedy(err), tt.refused) {
			t.Errorf("%q, partly %q, last %+v: %v (%s); want %q", tt.all, tt.partly, tt.last, err, problem.Remedy(err), tt.refused)
		}
	}
	long := RecordSet{Records: []string{own, other}, TTL: 5 * 24 * time.Hour}
	if remedy := problem.Remedy(Refused(leaf, "example.org", mx, was(other), long, now)); !strings.Contains(remedy, "after 2026-03-11T12:00:00Z") {
		t.Errorf("with a TTL of five days: %s", remedy)
	}
}

// A new key is used when its record is published, and not before: peers would refuse it.
func TestNewKey(t *testing.T) {
	leaf := &x509.Certificate{RawSubjectPublicKeyInfo: spki("k1")}
	next := &Key{Type: "ec256", SPKI: spki("k2")}
	one, two := tlsa.Record(spki("k1")), tlsa.Record(spki("k2"))
	seen := func(since time.Time, records ...string) Record {
		return Record{Used: one, Next: two, Names: map[string]Observation{mx: {At: now, Records: records, TTL: time.Hour, Since: since}}}
	}
	for _, tt := range []struct {
		name   string
		tlsa   []string
		record Record
		want   KeyChoice
		held   string
		remedy string
	}{
		{"without TLSA records", nil, Record{}, FreshKey, "", ""},
		{"that of the next key is not published", []string{mx}, seen(time.Time{}, one), NoKey, "none of the TLSA records of " + mx + " is that of its next key", "publish this beside the existing records, and two TTLs later run this again: " + mx},
		{"since an hour", []string{mx}, seen(now.Add(-time.Hour), one, two), NoKey, "the TLSA record of its next key was not visible for two TTLs yet", "wait: the records are published, and must be visible for two TTLs"},
		{"since two TTLs", []string{mx}, seen(now.Add(-2*time.Hour), one, two), NextKey, "", ""},
		{"none at all", []string{mx}, seen(time.Time{}), NextKey, "", ""},
	} {
		s := State{Names: tt.tlsa, KeyType: "ec256", InUse: leaf, Newest: leaf, Next: next, NewKey: true, Record: tt.record}
		if got := s.ChooseKey(now); got != tt.want {
			t.Errorf("%s: %s key, want %s", tt.name, got, tt.want)
		}
		if got := s.Held(now); got != tt.held {
			t.Errorf("%s: held: %q, want %q", tt.name, got, tt.held)
		}
		if e, _ := s.HeldError(now).(interface{ Remedy() string }); tt.held != "" && !strings.HasPrefix(e.Remedy(), tt.remedy) {
			t.Errorf("%s: remedy %q, want %q", tt.name, e.Remedy(), tt.remedy)
		}
		s.NewKey = false
		if got := s.ChooseKey(now); tt.want == NoKey && got != SameKey {
			t.Errorf("%s, when it is due: %s key, want the same", tt.name, got)
		}
	}
}
