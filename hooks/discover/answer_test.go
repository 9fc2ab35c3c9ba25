package discover

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"keypaird/hooks/discover/records"
	"keypaird/hooks/probe"
)

// founder is the founding set-up: everything under the plain domain, all
// servers on another host.
var founder = story{
	name: "founder",
	zone: `@ IN A {1}
matrix IN A {2}
_matrix._tcp IN SRV 10 0 8448 matrix
_xmpp-client._tcp IN SRV 5 0 5222 matrix
_xmpp-server._tcp IN SRV 5 0 5269 matrix
_xmpp-server._tcp.conference IN SRV 5 0 5269 matrix
@ IN MX 10 matrix
`,
	web: empty(),
}

// Which names the whole domain needs, and what for.
func TestNeeds(t *testing.T) {
	stories := []story{founder}
	w := newWorld(t, stories)
	a, err := w.discoverer().Discover(t.Context(), "founder.test", nil, []string{"conference.founder.test"})
	if err != nil {
		t.Fatal(err)
	}
	explained(t, a)
	got := map[string][]string{}
	for _, n := range a.Needs() {
		last := Must
		for _, r := range n.For {
			if r.State == records.Found && r.Enforcement == Must && !r.Default {
				got[n.Name] = append(got[n.Name], r.Endpoint.String())
			}
			if r.Enforcement.Compare(last) < 0 {
				t.Errorf("%s: not strictest first", n.Name)
			}
			last = r.Enforcement
			if !slices.Contains(r.Accept, n.Name) || r.State == records.Disabled {
				t.Errorf("%s is not for %s", n.Name, line(a.Domain, r))
			}
		}
	}
	want := map[string]string{
		"founder.test":            "https:matrix.founder.test:8448 xmpp-client:matrix.founder.test:5222 xmpp-server:matrix.founder.test:5269 https:founder.test:443",
		"conference.founder.test": "xmpp-server:matrix.founder.test:5269",
		"matrix.founder.test":     "", // as an MX host only, where nobody minds
	}
	for name, endpoints := range want {
		if list := strings.Join(got[name], " "); list != endpoints {
			t.Errorf("%s is needed for %s, want %s", name, list, endpoints)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s is needed for %s", name, got[name])
		}
	}
	written(t, a)
}

// Programs read it.
func written(t *testing.T, a Answer) {
	t.Helper()
	data, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Requirements []struct {
			Role, State, Endpoint string
			Accept                []string
			Addresses             []netip.Addr
			Evidence              []struct {
				What, Says, State string
				Lasts             *int64 `json:"lasts_seconds"`
			}
		}
		Documents []struct {
			URL     string
			Fetches []struct {
				Address netip.Addr
				Status  int
			}
		}
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(a.Requirements, func(r Requirement) bool { return r.Step == "5" })
	if i < 0 {
		t.Fatal("no row of step 5")
	}
	row := doc.Requirements[i]
	if row.Role != "federation" || row.State != "found" || row.Endpoint != "https:matrix.founder.test:8448" || len(row.Addresses) != 1 ||
		len(row.Evidence) < 3 || row.Evidence[0].Lasts == nil || row.Evidence[1].Says != "NXDOMAIN" || row.Evidence[1].State != "absent" {
		t.Errorf("row = %+v", row)
	}
	if len(doc.Documents) == 0 || doc.Documents[0].Fetches[0].Status != 404 {
		t.Errorf("documents = %+v", doc.Documents)
	}
	if e, err := probe.ParseEndpoint(row.Endpoint); err != nil || e != a.Requirements[i].Target() {
		t.Errorf("endpoint %s is %+v, %v", row.Endpoint, e, err)
	}
}
