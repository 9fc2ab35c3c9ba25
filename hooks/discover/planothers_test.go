package discover_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"keypaird/hooks/discover"
	"keypaird/hooks/discover/plan"
)

// The plain name is needed by others too, and a document cannot do all that SRV
// records can.
func TestPlanOthers(t *testing.T) {
	d := discover.PlanWorld(t)
	p := makePlan(t, d, "several.test", plan.Goal{To: plan.ToWellKnown})
	if p.Server != "matrix.several.test:8448" { // the first by priority
		t.Errorf("server %s", p.Server)
	}
	keeps(t, p, discover.Lines(`
		matrix.several.test on https:matrix.several.test:443: client, for Matrix clients
		matrix.several.test on https:matrix.several.test:8448: federation, for Matrix servers
		matrix.several.test on matrix.several.test:993: imap, for mail programs
		several.test on https:several.test:443: client well-known, for Matrix clients
		several.test on https:several.test:443: web, for browsers
		several.test on https:several.test:443: well-known, for Matrix servers
		several.test on matrix.several.test:993: imap, for mail programs, when a program checks the domain, not the host it connects to
		several.test on xmpp-server:matrix.several.test:5269: s2s, for XMPP servers`))
	if !slices.ContainsFunc(p.Notes, func(n string) bool {
		return strings.Contains(n, "2 endpoints, matrix.several.test:8448, second.several.test:8449")
	}) {
		t.Errorf("notes %q", p.Notes)
	}
	if len(p.Remove) != 1 || !strings.HasPrefix(p.Remove[0], "SRV _matrix._tcp.several.test: optional") {
		t.Errorf("remove %q", p.Remove)
	}
	needs := func(a discover.Answer, name string) (list []string) {
		for _, n := range a.Needs() {
			for _, row := range n.For {
				if n.Name == name && !row.Default && row.Enforcement == discover.Must {
					list = append(list, row.Endpoint.String())
				}
			}
		}
		return list
	}
	if got := strings.Join(needs(p.Now, "several.test"), " "); got != "https:matrix.several.test:8448 https:second.several.test:8449 xmpp-server:matrix.several.test:5269 https:several.test:443" {
		t.Errorf("today several.test is needed on %s", got)
	}
	if got := strings.Join(needs(p.After, "several.test"), " "); got != "https:several.test:443 https:several.test:443 xmpp-server:matrix.several.test:5269 https:several.test:443" {
		t.Errorf("then several.test is needed on %s", got)
	}
	// Where an address is delegated to, there is no host to write into SRV records.
	if _, err := plan.Make(t.Context(), d, "moved-to-address.test", plan.Goal{To: plan.ToSRV}); err == nil || !strings.Contains(err.Error(), "nothing names another host") {
		t.Errorf("error %v", err)
	}
	if p = makePlan(t, d, "moved-to-address.test", plan.Goal{To: plan.ToWellKnown, Since: time.Now().Add(-1000 * time.Hour)}); !p.Safe || p.Server != "127.1.17.2:8448" {
		t.Errorf("server %s, blockers %q", p.Server, p.Blockers)
	}
}

// What cannot be planned is an error with a remedy.
func TestPlanErrors(t *testing.T) {
	d := discover.PlanWorld(t)
	for _, tt := range []struct {
		domain string
		goal   plan.Goal
		part   string
	}{
		{"founding.test", plan.Goal{To: "elsewhere"}, "a move to"},
		{"founding.test:8448", plan.Goal{To: plan.ToSRV}, "with a port"},
		{"192.0.2.1", plan.Goal{To: plan.ToSRV}, "with a port or an address"},
		{"a b", plan.Goal{To: plan.ToSRV}, "cannot be in a host name"},
		{"founding.test", plan.Goal{To: plan.ToSRV, Server: "matrix.founding.test"}, "has no port"},
		{"founding.test", plan.Goal{To: plan.ToSRV, Server: "192.0.2.1:8448"}, "not addresses"},
		{"founding.test", plan.Goal{To: plan.ToSRV, Server: "a b:1"}, "cannot be in a host name"},
		{"nothing-at-all.test", plan.Goal{To: plan.ToWellKnown}, "nothing names another host"},
	} {
		_, err := plan.Make(t.Context(), d, tt.domain, tt.goal)
		var remedy interface{ Remedy() string }
		if !errors.As(err, &remedy) || remedy.Remedy() == "" || !strings.Contains(err.Error(), tt.part) {
			t.Errorf("%s %+v: %v", tt.domain, tt.goal, err)
		}
	}
}
