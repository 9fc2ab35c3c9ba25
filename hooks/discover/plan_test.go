package discover_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"keypaird/hooks/discover"
	"keypaird/hooks/discover/plan"
)

func makePlan(t *testing.T, d *discover.Discoverer, domain string, g plan.Goal) plan.Plan {
	t.Helper()
	p, err := plan.Make(t.Context(), d, domain, g)
	if err != nil {
		t.Fatal(err)
	}
	if p.Safe != (len(p.Blockers) == 0) {
		t.Errorf("%s: safe %v with blockers %q", domain, p.Safe, p.Blockers)
	}
	return p
}

func changes(p plan.Plan) (list []string) {
	for _, c := range p.Changes {
		list = append(list, strings.TrimSpace(c.Kind+" "+string(c.Was))+": "+discover.Line(p.Domain, c.Row))
	}
	slices.Sort(list)
	return list
}

// Any blocker that contains the text.
func blocked(p plan.Plan, text string) bool {
	return slices.ContainsFunc(p.Blockers, func(b string) bool { return strings.Contains(b, text) })
}

func TestPlanToWellKnown(t *testing.T) {
	d := discover.PlanWorld(t)
	p := makePlan(t, d, "Founding.test.", plan.Goal{To: plan.ToWellKnown, Since: time.Now().Add(-1000 * time.Hour)})
	// Steps 5 today, 3.2 then, and 5 only when the document cannot be had.
	discover.CompareLines(t, p.Domain, changes(p), discover.Lines(`
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
	if base, err := discover.ClientBase([]byte(p.Publish[1].Body)); err != nil || base != "https://matrix.founding.test" {
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
	if p.Safe || !blocked(p, "is not served by every address") {
		t.Errorf("blockers %q", p.Blockers)
	}
	if len(p.Drop) != 1 || !strings.Contains(p.Drop[0], "founding.test on https:matrix.founding.test:8448") {
		t.Errorf("drop %q", p.Drop)
	}
	keeps(t, p, discover.Lines(`
		founding.test on https:founding.test:443: client well-known, for Matrix clients
		founding.test on https:founding.test:443: web, for browsers
		founding.test on https:founding.test:443: well-known, for Matrix servers
		matrix.founding.test on https:matrix.founding.test:443: client, for Matrix clients
		matrix.founding.test on https:matrix.founding.test:8448: federation, for Matrix servers`))
	if !slices.ContainsFunc(p.Notes, func(n string) bool { return strings.Contains(n, "base_url https://matrix.founding.test is a guess") }) {
		t.Errorf("notes %q", p.Notes)
	}

	p = makePlan(t, d, "moved-elsewhere.test", plan.Goal{To: plan.ToWellKnown, Server: "matrix.moved-elsewhere.test:443"})
	if want := 48*time.Hour + 66*time.Minute; p.Wait() != want || p.Safe { // the old document first
		t.Errorf("wait %s, want %s: %+v", p.Wait(), want, p.Waits)
	}
	// One that cannot be read is not written anew.
	if p := makePlan(t, d, "moved-client-fails.test", plan.Goal{To: plan.ToWellKnown}); len(p.Publish) != 1 || !strings.HasPrefix(p.Notes[0], "https://moved-client-fails.test/.well-known/matrix/client cannot be read today") {
		t.Errorf("publish %+v, notes %q", p.Publish, p.Notes)
	}
	// What there is in the client document stays.
	if !strings.Contains(p.Publish[1].Body, "org.example.app") {
		t.Errorf("publish %+v", p.Publish[1])
	}
}

// Nothing is called safe while anything disagrees, is unknown or takes time.
func TestPlanToWellKnownSafety(t *testing.T) {
	d := discover.PlanWorld(t)
	safety(t, d, plan.ToWellKnown, 66*time.Minute+2*time.Hour, []safetyCase{
		{"moved.test", ""},
		{"moved-in-part.test", "serve different documents"},
		{"moved-unseen.test", "could not be checked from here: 2001:db8::1"},
		{"moved-expired.test", "certificate is not trusted"},
		{"moved-srv-fails.test", "SERVFAIL"},
		{"moved-to-nowhere.test", "matrix.moved-to-nowhere.test does not exist"},
		{"moved-to-another.test", "is the homeserver of another.test, not of moved-to-another.test"},
		{"moved-out-of-sight.test", "matrix.moved-out-of-sight.test:8448 on 2001:db8::1 could not be queried for its keys"},
		{"moved-half-known.test", "not all addresses of matrix.moved-half-known.test are known: only 16 of its addresses are checked"},
		{"moved-client-fails.test", "https://moved-client-fails.test/.well-known/matrix/client on 127.1"},
		{"moved-half-served.test", "does not return homeserver keys for matrix.moved-half-served.test:8448: connection refused"},
	})
	// After the plain certificate is gone it is still safe.
	safety(t, d, plan.ToWellKnown, 66*time.Minute+2*time.Hour, []safetyCase{{"moved-without-plain.test", ""}})
}

// keeps compares what is to be kept, in any order.
func keeps(t *testing.T, p plan.Plan, want []string) {
	t.Helper()
	slices.Sort(p.Keep)
	discover.CompareLines(t, p.Domain, p.Keep, want)
}

// A safetyCase is a world where the move is made, and what is still in the way;
// nothing: it is safe once the time is over.
type safetyCase struct{ domain, blocker string }

func safety(t *testing.T, d *discover.Discoverer, to string, wait time.Duration, cases []safetyCase) {
	t.Helper()
	for _, tt := range cases {
		long := makePlan(t, d, tt.domain, plan.Goal{To: to, Since: time.Now().Add(-1000 * time.Hour)})
		if long.Safe != (tt.blocker == "") || tt.blocker != "" && !blocked(long, tt.blocker) {
			t.Errorf("%s: safe %v, blockers %q", tt.domain, long.Safe, long.Blockers)
		}
		if tt.blocker != "" {
			continue
		}
		if now := makePlan(t, d, tt.domain, plan.Goal{To: to}); now.Safe || !blocked(now, "peers may use cached answers") || !now.When.IsZero() {
			t.Errorf("%s, just now: safe %v, %q", tt.domain, now.Safe, now.Blockers)
		}
		since := time.Now().Add(-wait + time.Minute)
		if early := makePlan(t, d, tt.domain, plan.Goal{To: to, Since: since}); early.Safe || !early.When.Equal(since.Add(wait)) {
			t.Errorf("%s, a minute early: safe %v until %s, %q", tt.domain, early.Safe, early.When, early.Waits)
		}
		if late := makePlan(t, d, tt.domain, plan.Goal{To: to, Since: since.Add(-2 * time.Minute)}); !late.Safe {
			t.Errorf("%s, a minute late: %q", tt.domain, late.Blockers)
		}
		if len(long.Drop) == 0 {
			t.Errorf("%s: nothing to drop", tt.domain)
		}
	}
}

func TestPlanToSRV(t *testing.T) {
	d := discover.PlanWorld(t)
	p := makePlan(t, d, "moved.test", plan.Goal{To: plan.ToSRV, Server: "matrix.moved.test:8448", Since: time.Now().Add(-1000 * time.Hour)})
	discover.CompareLines(t, p.Domain, changes(p), discover.Lines(`
		eased must: well-known/3 https:moved.test:443 sni=moved.test accept=moved.test host=moved.test info absent
		gone must: federation/3.2 https:matrix.moved.test:8448 sni=matrix.moved.test accept=matrix.moved.test host=matrix.moved.test:8448 must found
		same must: client https:matrix.moved.test:443 sni=matrix.moved.test accept=matrix.moved.test host=matrix.moved.test must found
		same must: client-well-known https:moved.test:443 sni=moved.test accept=moved.test host=moved.test must found
		stricter should: federation/4 https:matrix.moved.test:8448 sni=moved.test accept=moved.test host=moved.test must found`))
	want := []string{"_matrix-fed._tcp.moved.test. 3600 IN SRV 10 0 8448 matrix.moved.test.", "_matrix._tcp.moved.test. 3600 IN SRV 10 0 8448 matrix.moved.test."}
	if !slices.Equal(p.Records, want) {
		t.Errorf("records %q", p.Records)
	}
	if p.Safe || !blocked(p, "the document is still served") {
		t.Errorf("blockers %q", p.Blockers)
	}
	if len(p.Drop) != 2 || !strings.HasPrefix(p.Drop[0], "matrix.moved.test on https:matrix.moved.test:8448") {
		t.Errorf("drop %q", p.Drop)
	}
	if p = makePlan(t, d, "nothing-at-all.test", plan.Goal{To: plan.ToSRV, Server: "matrix.nothing-at-all.test:8448"}); !blocked(p, "no SRV record of nothing-at-all.test leads to matrix.nothing-at-all.test:8448") || !blocked(p, "does not exist") {
		t.Errorf("blockers %q", p.Blockers)
	}
	// The SRV records' own time, 48 hours of the document, two of Synapse.
	safety(t, d, plan.ToSRV, 2*time.Hour+48*time.Hour+2*time.Hour, []safetyCase{
		{"back.test", ""},
		{"back-in-part.test", "the document is still served"},
		{"moved-srv-fails.test", "SERVFAIL"},
		{"back-gone.test", ""},
		{"back-fails.test", "fails, perhaps only for a time: answers 503"},
		{"back-throttled.test", "answers 429"},
		{"back-forbidden.test", "answers 403"},
		{"back-closed.test", "connection refused"},
	})
}
