package discover

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// The worlds between SRV records and documents. The zones say how long the SRV
// records are kept.
var planStories = []story{
	{name: "founding", zone: "@ IN A {1}\nmatrix IN A {2}\n_matrix._tcp 7200 IN SRV 10 0 8448 matrix\n", web: empty()},
	{name: "moved", zone: "@ IN A {1}\nmatrix IN A {2}\n_matrix._tcp 7200 IN SRV 10 0 8448 matrix\n", web: both("matrix.@:8448")},
	{name: "moved in part", zone: "@ IN A {1}\n@ IN A {3}\nmatrix IN A {2}\n_matrix._tcp 7200 IN SRV 10 0 8448 matrix\n", web: append(both("matrix.@:8448"), site9{addr: "{3}", host: "@"})},
	{name: "moved unseen", zone: "@ IN A {1}\n@ IN AAAA 2001:db8::1\nmatrix IN A {2}\n", web: both("matrix.@:8448")},
	{name: "moved expired", zone: "@ IN A {1}\nmatrix IN A {2}\n_matrix._tcp 7200 IN SRV 10 0 8448 matrix\n", web: expired("matrix.@:8448")},
	{name: "moved srv fails", zone: "@ IN A {1}\nmatrix IN A {2}\n", broken: "_matrix-fed._tcp", web: both("matrix.@:8448")},
	{name: "moved to nowhere", zone: "@ IN A {1}\n_matrix._tcp 7200 IN SRV 10 0 8448 @\n", web: both("matrix.@:8448")},
	{name: "moved elsewhere", zone: "@ IN A {1}\nold IN A {3}\nmatrix IN A {2}\n", web: both("old.@:8448")},
	{name: "back", zone: "@ IN A {1}\nmatrix IN A {2}\n_matrix-fed._tcp 7200 IN SRV 10 0 8448 matrix\n", web: empty()},
	{name: "back in part", zone: "@ IN A {1}\n@ IN A {3}\nmatrix IN A {2}\n_matrix-fed._tcp 7200 IN SRV 10 0 8448 matrix\n", web: append(both("matrix.@:8448"), site9{addr: "{3}", host: "@"})},
	{name: "nothing at all", zone: "@ IN A {1}\n", web: empty()},
	{name: "moved to another", zone: "@ IN A {1}\nmatrix IN A {4}\n", web: both("matrix.@:8448")},
	{name: "moved half served", zone: "@ IN A {1}\nmatrix IN A {2}\nmatrix IN A {9}\n", web: both("matrix.@:8448")},
	{name: "moved without plain", zone: "@ IN A {1}\nmatrix IN A {5}\n_matrix._tcp 7200 IN SRV 10 0 8448 matrix\n", web: both("matrix.@:8448")},
	{name: "moved out of sight", zone: "@ IN A {1}\nmatrix IN A {2}\nmatrix IN AAAA 2001:db8::1\n", web: both("matrix.@:8448")},
	{name: "moved half known", zone: "@ IN A {1}\nmatrix IN A {2}\n" + many("matrix", 17), web: both("matrix.@:8448")},
	{name: "moved to address", zone: "@ IN A {1}\n", web: both("{2}:8448")},
	{name: "several", zone: "@ IN A {1}\nmatrix IN A {2}\nsecond IN A {2}\n_matrix._tcp IN SRV 10 0 8448 matrix\n_matrix._tcp IN SRV 20 0 8449 second\n" +
		"_xmpp-server._tcp IN SRV 5 0 5269 matrix\n_imaps._tcp IN SRV 0 0 993 matrix\n", web: empty()},
}

// many addresses of one host.
func many(host string, n int) (zone string) {
	for i := range n {
		zone += fmt.Sprintf("%s IN A 127.9.9.%d\n", host, i+1)
	}
	return zone
}

// planWorld has a homeserver for each domain, at {2} where nothing else is said.
func planWorld(t *testing.T) *world {
	w := newWorld(t, planStories)
	for i, st := range planStories {
		matrix, of, last := "matrix."+st.domain, st.domain, 2
		names := []string{st.domain, matrix, fmt.Sprintf("127.1.%d.2", i+1)}
		switch st.name {
		case "moved to another":
			of, last = "another.test", 4
		case "moved without plain":
			names, last = []string{matrix}, 5
		}
		for _, port := range []int{443, 8448} {
			w.serveTLS(fmt.Sprintf("127.1.%d.%d:%d", i+1, last, port), homeserver(of), names...)
		}
	}
	return w
}

// both documents, served as the plan says.
func both(server string) []site9 {
	return []site9{{addr: "{1}", host: "@", conf: cors, files: map[string]string{
		"/.well-known/matrix/server": `{"m.server": "` + server + `"}`,
		"/.well-known/matrix/client": `{"m.homeserver": {"base_url": "https://matrix.@"}, "org.example.app": {"x": 1}}`,
	}}}
}

func expired(server string) []site9 {
	web := both(server)
	web[0].until = -time.Minute
	return web
}

func plan(t *testing.T, w *world, domain string, g Goal) Plan {
	t.Helper()
	p, err := MakePlan(t.Context(), w.discoverer(), domain, g)
	if err != nil {
		t.Fatal(err)
	}
	if p.Safe != (len(p.Blockers) == 0) {
		t.Errorf("%s: safe %v with blockers %q", domain, p.Safe, p.Blockers)
	}
	return p
}

func changes(p Plan) (list []string) {
	for _, c := range p.Changes {
		list = append(list, strings.TrimSpace(c.Kind+" "+string(c.Was))+": "+line(p.Domain, c.Row))
	}
	slices.Sort(list)
	return list
}

// Any blocker that contains the text.
func (p Plan) blocked(text string) bool {
	return slices.ContainsFunc(p.Blockers, func(b string) bool { return strings.Contains(b, text) })
}

func TestPlanToWellKnown(t *testing.T) {
	w := planWorld(t)
	p := plan(t, w, "Founding.test.", Goal{To: ToWellKnown, Since: time.Now().Add(-1000 * time.Hour)})
	// Steps 5 today, 3.2 then, and 5 only when the document cannot be had.
	compare(t, story{domain: p.Domain}, changes(p), lines(`
		eased must: federation/5 https:matrix.founding.test:8448 sni=founding.test accept=founding.test host=founding.test should found when
		new: client https:matrix.founding.test:443 sni=matrix.founding.test accept=matrix.founding.test host=matrix.founding.test must found
		new: federation/3.2 https:matrix.founding.test:8448 sni=matrix.founding.test accept=matrix.founding.test host=matrix.founding.test:8448 must found
		stricter info: client-well-known https:founding.test:443 sni=founding.test accept=founding.test host=founding.test must found
		stricter info: well-known/3 https:founding.test:443 sni=founding.test accept=founding.test host=founding.test must found`))
	var server struct {
		Server string `json:"m.server"`
	}
	if err := json.Unmarshal([]byte(p.Publish[0].Body), &server); err != nil || server.Server != "matrix.founding.test:8448" || p.Publish[0].URL != "https://founding.test/.well-known/matrix/server" {
		t.Errorf("publish %+v, %v", p.Publish[0], err)
	}
	if c, err := parseClient([]byte(p.Publish[1].Body)); err != nil || c.base.String() != "https://matrix.founding.test" {
		t.Errorf("publish %+v, %v", p.Publish[1], err)
	}
	for _, f := range p.Publish {
		if f.Headers["Access-Control-Allow-Origin"] != "*" || f.Headers["Content-Type"] != "application/json" || f.Headers["Cache-Control"] == "" {
			t.Errorf("headers %v", f.Headers)
		}
	}
	// An hour that errors are kept, with Synapse's tenth, and the SRV records.
	if p.Wait() != 66*time.Minute+2*time.Hour {
		t.Errorf("wait %s: %+v", p.Wait(), p.Waits)
	}
	if data, err := json.Marshal(p); err != nil || !strings.Contains(string(data), `{"seconds":3960,"text":"1h6m: `) {
		t.Errorf("%s, %v", data, err)
	}
	if p.Safe || !p.blocked("is not served by every address") {
		t.Errorf("blockers %q", p.Blockers)
	}
	if len(p.Drop) != 1 || !strings.Contains(p.Drop[0], "founding.test on https:matrix.founding.test:8448") {
		t.Errorf("drop %q", p.Drop)
	}
	keeps(t, p, lines(`
		founding.test on https:founding.test:443: client well-known, for Matrix clients
		founding.test on https:founding.test:443: web, for browsers
		founding.test on https:founding.test:443: well-known, for Matrix servers
		matrix.founding.test on https:matrix.founding.test:443: client, for Matrix clients
		matrix.founding.test on https:matrix.founding.test:8448: federation, for Matrix servers`))
	if !slices.ContainsFunc(p.Notes, func(n string) bool { return strings.Contains(n, "base_url https://matrix.founding.test is a guess") }) {
		t.Errorf("notes %q", p.Notes)
	}

	p = plan(t, w, "moved-elsewhere.test", Goal{To: ToWellKnown, Server: "matrix.moved-elsewhere.test:443"})
	if want := 48*time.Hour + 66*time.Minute; p.Wait() != want || p.Safe { // the old document first
		t.Errorf("wait %s, want %s: %+v", p.Wait(), want, p.Waits)
	}
	// What there is in the client document stays.
	if !strings.Contains(p.Publish[1].Body, "org.example.app") {
		t.Errorf("publish %+v", p.Publish[1])
	}
}

// Nothing is called safe while anything disagrees, is unknown or takes time.
func TestPlanToWellKnownSafety(t *testing.T) {
	w := planWorld(t)
	safety(t, w, ToWellKnown, 66*time.Minute+2*time.Hour, []safetyCase{
		{"moved.test", ""},
		{"moved-in-part.test", "split brain"},
		{"moved-unseen.test", "could not be judged from here: 2001:db8::1"},
		{"moved-expired.test", "certificate is not trusted"},
		{"moved-srv-fails.test", "SERVFAIL"},
		{"moved-to-nowhere.test", "matrix.moved-to-nowhere.test does not exist"},
		{"moved-to-another.test", "is the homeserver of another.test, not of moved-to-another.test"},
		{"moved-out-of-sight.test", "matrix.moved-out-of-sight.test:8448 on 2001:db8::1 could not be asked for its keys"},
		{"moved-half-known.test", "not all addresses of matrix.moved-half-known.test are known: there are more than the 16 that are looked at"},
		{"moved-half-served.test", "does not give the keys of a homeserver for matrix.moved-half-served.test:8448: connection refused"},
	})
	// After the plain certificate is gone it is still safe.
	safety(t, w, ToWellKnown, 66*time.Minute+2*time.Hour, []safetyCase{{"moved-without-plain.test", ""}})
}

// keeps compares what is to be kept, in any order.
func keeps(t *testing.T, p Plan, want []string) {
	t.Helper()
	slices.Sort(p.Keep)
	compare(t, story{domain: p.Domain}, p.Keep, want)
}

// A safetyCase is a world where the move is made, and what is still in the way;
// nothing: it is safe once the time is over.
type safetyCase struct{ domain, blocker string }

func safety(t *testing.T, w *world, to string, wait time.Duration, cases []safetyCase) {
	t.Helper()
	for _, tt := range cases {
		long := plan(t, w, tt.domain, Goal{To: to, Since: time.Now().Add(-1000 * time.Hour)})
		if long.Safe != (tt.blocker == "") || tt.blocker != "" && !long.blocked(tt.blocker) {
			t.Errorf("%s: safe %v, blockers %q", tt.domain, long.Safe, long.Blockers)
		}
		if tt.blocker != "" {
			continue
		}
		if now := plan(t, w, tt.domain, Goal{To: to}); now.Safe || !now.blocked("peers may go by what they knew before") || !now.When.IsZero() {
			t.Errorf("%s, just now: safe %v, %q", tt.domain, now.Safe, now.Blockers)
		}
		since := time.Now().Add(-wait + time.Minute)
		if early := plan(t, w, tt.domain, Goal{To: to, Since: since}); early.Safe || !early.When.Equal(since.Add(wait)) {
			t.Errorf("%s, a minute early: safe %v until %s, %q", tt.domain, early.Safe, early.When, early.Waits)
		}
		if late := plan(t, w, tt.domain, Goal{To: to, Since: since.Add(-2 * time.Minute)}); !late.Safe {
			t.Errorf("%s, a minute late: %q", tt.domain, late.Blockers)
		}
		if len(long.Drop) == 0 {
			t.Errorf("%s: nothing to drop", tt.domain)
		}
	}
}

func TestPlanToSRV(t *testing.T) {
	w := planWorld(t)
	p := plan(t, w, "moved.test", Goal{To: ToSRV, Server: "matrix.moved.test:8448", Since: time.Now().Add(-1000 * time.Hour)})
	compare(t, story{domain: p.Domain}, changes(p), lines(`
		eased must: well-known/3 https:moved.test:443 sni=moved.test accept=moved.test host=moved.test info absent
		gone must: federation/3.2 https:matrix.moved.test:8448 sni=matrix.moved.test accept=matrix.moved.test host=matrix.moved.test:8448 must found
		same must: client https:matrix.moved.test:443 sni=matrix.moved.test accept=matrix.moved.test host=matrix.moved.test must found
		same must: client-well-known https:moved.test:443 sni=moved.test accept=moved.test host=moved.test must found
		stricter should: federation/4 https:matrix.moved.test:8448 sni=moved.test accept=moved.test host=moved.test must found`))
	want := []string{"_matrix-fed._tcp.moved.test. 3600 IN SRV 10 0 8448 matrix.moved.test.", "_matrix._tcp.moved.test. 3600 IN SRV 10 0 8448 matrix.moved.test."}
	if !slices.Equal(p.Records, want) {
		t.Errorf("records %q", p.Records)
	}
	if p.Safe || !p.blocked("the document is still served") {
		t.Errorf("blockers %q", p.Blockers)
	}
	if len(p.Drop) != 2 || !strings.HasPrefix(p.Drop[0], "matrix.moved.test on https:matrix.moved.test:8448") {
		t.Errorf("drop %q", p.Drop)
	}
	if p = plan(t, w, "nothing-at-all.test", Goal{To: ToSRV, Server: "matrix.nothing-at-all.test:8448"}); !p.blocked("no SRV record of nothing-at-all.test leads to matrix.nothing-at-all.test:8448") || !p.blocked("does not exist") {
		t.Errorf("blockers %q", p.Blockers)
	}
	// The SRV records' own time, 48 hours of the document, two of Synapse.
	safety(t, w, ToSRV, 2*time.Hour+48*time.Hour+2*time.Hour, []safetyCase{
		{"back.test", ""},
		{"back-in-part.test", "the document is still served"},
		{"moved-srv-fails.test", "SERVFAIL"},
	})
}
