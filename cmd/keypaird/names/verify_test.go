package names

import (
	"fmt"
	"strings"
	"testing"

	"keypaird/cmd/keypaird/engine"
	"keypaird/hooks/probe"
	"keypaird/hooks/verify/input"
)

// The domains of [cert] tables that are not named are those of their names which no
// other of them contains; web is looked at only where a deployment serves it.
func TestDomainsOfCerts(t *testing.T) {
	at := func(endpoint string) []input.Deployment {
		e, err := probe.ParseEndpoint(endpoint)
		if err != nil {
			t.Fatal(err)
		}
		return []input.Deployment{{Name: "d", Endpoints: []input.Endpoint{{Endpoint: e}}}}
	}
	for _, tt := range []struct {
		names  string
		deploy []input.Deployment
		want   string
	}{
		{"example.org www.example.org", at("127.0.0.1:443"), "example.org all"},
		{"www.example.org example.net *.example.net example.org", at("127.0.0.1:443"), "example.net all, example.org all"},
		{"mail.example.org", at("smtp:127.0.0.1:25"), "mail.example.org without web"},
		{"example.org", nil, "example.org without web"},
		{"*.example.org 192.0.2.1", at("127.0.0.1:443"), ""},
	} {
		r := &Request{engine: &engine.Engine{}, with: &Lookup{}}
		r.addCerts([]input.Target{{Name: "host", Names: strings.Fields(tt.names), Deployments: tt.deploy}})
		var got []string
		for _, d := range r.Domains {
			services := "all"
			if len(d.Services) > 0 {
				services = "without web"
			}
			if !d.Optional || len(d.Names) == 0 || strings.Contains(strings.Join(d.Services, " "), "web") {
				t.Errorf("%s: %+v", tt.names, d)
			}
			got = append(got, d.Name+" "+services)
		}
		if s := strings.Join(got, ", "); s != tt.want {
			t.Errorf("%s: %s, want %s", tt.names, s, tt.want)
		}
	}
	r := &Request{}
	for i := range maxDomains + 2 {
		r.Domains = append(r.Domains, input.Domain{Name: fmt.Sprint(i)})
	}
	warned := ""
	r.limitDomains(func(message, _ string) { warned = message })
	if len(r.Domains) != maxDomains || !strings.Contains(warned, "of 2 domains is left out") {
		t.Errorf("%d domains, warned %q", len(r.Domains), warned)
	}
}
