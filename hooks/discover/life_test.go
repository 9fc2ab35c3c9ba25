package discover

import (
	"net/http"
	"testing"
	"time"

	"keypaird/hooks/discover/records"
	"keypaird/hooks/discover/web"
)

// Matrix server-server API, server discovery, step 3: headers are respected;
// 24 hours without; 48 hours at most; an hour for errors. What headers mean is
// RFC 9111, sections 4.2.1, 5.2 and 5.3.
func TestWellKnownLife(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	for _, tt := range []struct {
		name    string
		state   records.State
		headers [][2]string
		want    time.Duration
	}{
		{"no headers", records.Found, nil, 24 * time.Hour},
		{"an hour", records.Found, [][2]string{{"Cache-Control", "public, max-age=3600"}}, time.Hour},
		{"spaces and case", records.Found, [][2]string{{"Cache-Control", "public , Max-Age=3600"}}, time.Hour},
		{"in quotes", records.Found, [][2]string{{"Cache-Control", `max-age="3600"`}}, time.Hour},
		{"two headers", records.Found, [][2]string{{"Cache-Control", "public"}, {"Cache-Control", "max-age=60"}}, time.Minute},
		{"the first one", records.Found, [][2]string{{"Cache-Control", "max-age=60, max-age=3600"}}, time.Minute},
		{"for shared caches only", records.Found, [][2]string{{"Cache-Control", "s-maxage=60"}}, 24 * time.Hour},
		{"a week", records.Found, [][2]string{{"Cache-Control", "max-age=604800"}}, 48 * time.Hour},
		{"for ever", records.Found, [][2]string{{"Cache-Control", "max-age=99999999999999999999999"}}, 48 * time.Hour},
		{"not at all", records.Found, [][2]string{{"Cache-Control", "no-store"}}, 0},
		{"not at all, first", records.Found, [][2]string{{"Cache-Control", "max-age=60, no-store"}}, 0},
		{"nonsense", records.Found, [][2]string{{"Cache-Control", "max-age=soon"}}, 24 * time.Hour},
		{"negative", records.Found, [][2]string{{"Cache-Control", "max-age=-1"}}, 0},
		{"expires", records.Found, [][2]string{{"Expires", at(2 * time.Hour)}}, 2 * time.Hour},
		{"expires by their clock", records.Found, [][2]string{{"Date", at(time.Hour)}, {"Expires", at(3 * time.Hour)}}, 2 * time.Hour},
		{"expired", records.Found, [][2]string{{"Expires", at(-time.Hour)}}, 0},
		{"expires 0", records.Found, [][2]string{{"Expires", "0"}}, 0},
		{"max-age before expires", records.Found, [][2]string{{"Expires", at(time.Hour)}, {"Cache-Control", "max-age=60"}}, time.Minute},
		{"an error", records.Absent, [][2]string{{"Cache-Control", "max-age=86400"}}, time.Hour},
		{"nobody knows", records.Undetermined, nil, time.Hour},
	} {
		h := http.Header{}
		for _, kv := range tt.headers {
			h.Add(kv[0], kv[1])
		}
		v := web.Fetch{State: tt.state}
		v.Header = h
		if got := wellKnownLife(v, now); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// The times are those of real records and documents.
func TestEvidenceLasts(t *testing.T) {
	stories := []story{{
		name: "lasting", zone: "@ 77 IN A {1}\n_matrix._tcp 88 IN SRV 10 0 8448 @\n",
		web: []site9{{addr: "{1}", host: "@", files: map[string]string{"/.well-known/matrix/server": `{"m.server": "@:443"}`}, conf: "expires 1h;"}},
	}, {
		name: "policy lasts", zone: "mta-sts IN A {1}\n_mta-sts 99 IN TXT \"v=STSv1; id=1\"\n@ 66 IN MX 0 mx\nmx 55 IN A {2}\n", web: sts(policyEnforce, "expires 1h;"),
	}}
	w := newWorld(t, stories)
	want := map[string]time.Duration{
		"A lasting.test": 77 * time.Second, "SRV _matrix._tcp.lasting.test": 88 * time.Second,
		"SRV _matrix-fed._tcp.lasting.test":              120 * time.Second, // the SOA's last number
		"https://lasting.test/.well-known/matrix/server": time.Hour,
		"MX policy-lasts.test":                           66 * time.Second, "TXT _mta-sts.policy-lasts.test": 99 * time.Second,
		"https://mta-sts.policy-lasts.test/.well-known/mta-sts.txt": 7 * 24 * time.Hour, // max_age, not HTTP (RFC 8461, 3.3)
	}
	seen := map[string]bool{}
	for _, row := range append(ask(t, w.discoverer(), "lasting.test", "matrix").Requirements, ask(t, w.discoverer(), "policy-lasts.test", "smtp").Requirements...) {
		for _, e := range row.Evidence {
			if d, ok := want[e.What]; ok && e.Lasts != d {
				t.Errorf("%s lasts %s, want %s", e.What, e.Lasts, d)
			}
			seen[e.What] = true
		}
	}
	for what := range want {
		if !seen[what] {
			t.Errorf("no evidence of %s", what)
		}
	}
}
