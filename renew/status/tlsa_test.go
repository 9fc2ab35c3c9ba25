package status

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"keypaird/renew"
	"keypaird/renew/backoff"
	"keypaird/renew/keypair"
	"keypaird/renew/rollover"
	"keypaird/renew/tlsa"
)

const mx = "_25._tcp.mail.example"

// recordOf is the record of a pair's key.
func recordOf(p *keypair.Pair) string { return tlsa.Record(p.Leaf.RawSubjectPublicKeyInfo) }

// mailDesk has one target with TLSA records, of which dane tells what was seen,
// given the records of the keys of its pairs and of the next one.
func mailDesk(t *testing.T, live int, dane func(keys []string, next string) renew.TLSARecord, pairs ...*keypair.Pair) Document {
	t.Helper()
	d := &desk{t: t, store: open(t)}
	s := subject("mail")
	s.TLSA = []string{mx}
	next := pair(t, 0, "next", "mail.example")
	must(t, d.store.WriteFile("mail", "nextkey.pem", next.Key()))
	var keys []string
	for _, p := range pairs {
		keys = append(keys, recordOf(p))
	}
	d.addTarget(s, live, func(fps []string) renew.Record {
		var r renew.Record
		if len(fps) > 0 {
			r = deployed(fps[max(live, 1)-1])
			r.Fingerprint = fps[len(fps)-1]
		}
		r.TLSA = dane(keys, recordOf(next))
		return r
	}, pairs...)
	doc, err := Collect(d.source(), now)
	must(t, err)
	return doc
}

// How TLSA records stand is said to people, to programs and on the page alike.
func TestTLSA(t *testing.T) {
	other := "3 1 1 " + strings.Repeat("0", 64)
	seen := func(next string, since time.Duration, records ...string) renew.TLSARecord {
		g := rollover.Observation{At: now, Records: records, TTL: time.Hour, TTLAt: now, Secure: true}
		if since > 0 {
			g.Since = now.Add(-since)
		}
		return renew.TLSARecord{Record: rollover.Record{Next: next, Retired: []string{other}, Names: map[string]rollover.Observation{mx: g}}}
	}
	one, two := pair(t, 10*aDay, "R10", "mail.example"), pair(t, 0, "R10", "mail.example")
	for _, tt := range []struct {
		name  string
		live  int
		pairs []*keypair.Pair
		dane  func(keys []string, next string) renew.TLSARecord
		want  []string
		plea  string
	}{
		{"all is there", 1, []*keypair.Pair{one}, func(k []string, next string) renew.TLSARecord { return seen(next, 3*time.Hour, k[0], next) },
			[]string{recordOf(one) + ": the key in use", ": the next key", "the next renewal uses the next key", mx + ": 2 records, at 2026-03-01 12:00Z\n"}, ""},
		{"since an hour", 1, []*keypair.Pair{one}, func(k []string, next string) renew.TLSARecord { return seen(next, time.Hour, k[0], next) },
			[]string{"renewals use the next key from 2026-03-01 13:00Z on"}, ""},
		{"the next one is missing", 1, []*keypair.Pair{one}, func(k []string, next string) renew.TLSARecord { return seen(next, 0, k[0]) },
			[]string{"renewals keep the key until the record of the next key was visible everywhere for two TTLs", "publish: " + mx + ". IN TLSA 3 1 1 "}, ""},
		{"an old one is left", 1, []*keypair.Pair{one}, func(k []string, next string) renew.TLSARecord { return seen(next, 0, k[0], other) },
			[]string{"    may be removed: " + mx + ". IN TLSA " + other + "\n"}, ""},
		{"an old one is left, and the newest not deployed", 1, []*keypair.Pair{one, two}, func(k []string, next string) renew.TLSARecord { return seen(next, 0, k[0], k[1], other) },
			[]string{"    may be removed once the newest is in use everywhere: " + mx + ". IN TLSA " + other + "\n", recordOf(two) + ": the key of the newest certificate"}, ""},
		{"the one in use is missing", 1, []*keypair.Pair{one}, func(_ []string, next string) renew.TLSARecord { return mismatched(seen(next, 0, other)) },
			[]string{"publish: " + mx + ". IN TLSA " + recordOf(one)}, "peers that check TLSA records refuse the key in use"},
		{"nobody has looked", 1, []*keypair.Pair{one}, func(_ []string, next string) renew.TLSARecord {
			return renew.TLSARecord{Record: rollover.Record{Next: next}}
		},
			[]string{mx + ": not queried yet\n"}, ""},
		{"the last query failed", 1, []*keypair.Pair{one}, func(k []string, next string) renew.TLSARecord {
			d := seen(next, 3*time.Hour, k[0], next)
			g := d.Names[mx]
			g.Error, g.Secure, g.Partly = "no answer\x1b[2J", false, []string{other}
			d.Names[mx] = g
			return d
		}, []string{"renewals keep the key", mx + ": 2 records, at 2026-03-01 12:00Z; 1 more at some servers only; not DNSSEC-validated: peers ignore them; the last query failed: no answer"}, ""},
		{"no certificate, no records", 0, nil, func(_ []string, next string) renew.TLSARecord { return seen(next, 0) },
			[]string{"the first certificate will use the next key", mx + ": no records, at 2026-03-01 12:00Z"}, ""},
		{"no certificate, and records of others", 0, nil, func(_ []string, next string) renew.TLSARecord { return mismatched(seen(next, 0, other)) },
			[]string{"no certificate is ordered: none of the TLSA records of " + mx + " is that of its key"}, "there is no certificate in use: none of the TLSA records"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			doc := mailDesk(t, tt.live, tt.dane, tt.pairs...)
			var out bytes.Buffer
			must(t, doc.WriteText(&out))
			shown := text(parse(t, get(t, serving(doc), "/")))
			for _, want := range tt.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("%q is not said:\n%s", want, out.String())
				}
				what, record, isRecord := strings.Cut(strings.TrimSpace(want), ": ")
				if isRecord && strings.HasPrefix(what, "3 ") {
					what, record = record, what
				}
				for _, part := range []string{what, record} {
					if !strings.Contains(shown, part) {
						t.Errorf("%q is not on the page:\n%s", part, shown)
					}
				}
			}
			if got := doc.Targets[0].ActionRequired; got != tt.plea && (tt.plea == "" || !strings.HasPrefix(got, tt.plea)) {
				t.Errorf("needs you: %q, want %q", got, tt.plea)
			}
			data, err := json.Marshal(doc)
			must(t, err)
			var v any
			must(t, json.Unmarshal(data, &v))
			schema := readSchema(t)
			for _, wrong := range schema.check(schema, "document", v) {
				t.Error(wrong)
			}
		})
	}
}

// A sharedBy shares a target with machines that have not verified the newest certificate.
type sharedBy struct {
	held
	missing []string
}

func (s sharedBy) Verified(renew.State) (string, []string) { return "", s.missing }

// In a fleet, earlier records stay until all nodes have verified the newest certificate, and
// the next key is not shown before the other nodes have it.
func TestTLSAOfFleet(t *testing.T) {
	d := &desk{t: t, store: open(t)}
	s := subject("mail")
	s.TLSA, s.Sharing = []string{mx}, sharedBy{missing: []string{"mx2", "mx3"}}
	p, next, old := pair(t, 10*aDay, "R10", "mail.example"), pair(t, 0, "next", "mail.example"), "3 1 1 "+strings.Repeat("0", 64)
	must(t, d.store.WriteFile("mail", "nextkey.pem", next.Key()))
	d.addTarget(s, 1, func(fps []string) renew.Record {
		r := deployed(fps[0])
		r.TLSA.Retired, r.TLSA.Names = []string{old}, map[string]rollover.Observation{mx: {At: now, Records: []string{recordOf(p), old}}}
		return r
	}, p)
	doc, err := Collect(d.source(), now)
	must(t, err)
	var out bytes.Buffer
	must(t, doc.WriteText(&out))
	shown := out.String() + text(parse(t, get(t, serving(doc), "/")))
	for _, want := range []string{"earlier records stay until the newest certificate is verified by mx2, mx3", "may be removed once the newest is in use everywhere"} {
		if strings.Count(shown, want) != 2 {
			t.Errorf("%q is not said twice:\n%s", want, shown)
		}
	}
	if strings.Contains(shown, recordOf(next)) || strings.Contains(shown, "may be removed: ") {
		t.Errorf("shown too soon:\n%s", shown)
	}
}

// mismatched is d after a pass found that the records do not match.
func mismatched(d renew.TLSARecord) renew.TLSARecord {
	d.Attempt = backoff.Attempt{Failures: 1}
	return d
}

// A next key that is damaged, or is in use already, is none.
func TestTLSAWithoutNext(t *testing.T) {
	d := &desk{t: t, store: open(t)}
	s := subject("mail")
	s.TLSA = []string{mx}
	p := pair(t, 10*aDay, "R10", "mail.example")
	d.addTarget(s, 1, fine, p)
	for _, key := range [][]byte{nil, []byte("-----BEGIN"), p.Key()} {
		if key != nil {
			must(t, d.store.WriteFile("mail", "nextkey.pem", key))
		}
		doc, err := Collect(d.source(), now)
		must(t, err)
		if tlsa := doc.Targets[0].TLSA; tlsa == nil || tlsa.Next != "" || tlsa.Live != recordOf(p) || tlsa.RolloverAt != nil {
			t.Errorf("%q: %+v", key, tlsa)
		}
	}
}
