package discover

import (
	"slices"
	"testing"

	"github.com/miekg/dns"
)

// The zone of a name is the nearest one above it that has name servers.
func TestZone(t *testing.T) {
	addr := freeAddr(t, 31)
	serveDNS(t, addr, func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		m.RecursionAvailable = true
		for _, text := range []string{
			"example.org. 60 IN NS B.ns.example.net.", "example.org. 60 IN NS a.ns.example.net.", "example.org. 60 IN SOA Hidden.example.net. h. 1 2 3 4 5",
			"broken.test. 60 IN NS ns.test.",
		} {
			if rr, _ := dns.NewRR(text); rr.Header().Name == q.Question[0].Name && rr.Header().Rrtype == q.Question[0].Qtype {
				m.Answer = append(m.Answer, rr)
			}
		}
		w.WriteMsg(m)
	})
	d := Discoverer{Resolvers: []string{addr}}
	for _, tt := range []struct {
		domain, primary string
		servers         []string
	}{
		{"example.org", "hidden.example.net", []string{"a.ns.example.net", "b.ns.example.net"}},
		{"Deep.Sub.example.org.", "hidden.example.net", []string{"a.ns.example.net", "b.ns.example.net"}},
		{"broken.test", "", []string{"ns.test"}},
		{"example.com", "", nil},
		{"localhost", "", nil},
	} {
		servers, primary := d.Zone(t.Context(), tt.domain)
		if !slices.Equal(servers, tt.servers) || primary != tt.primary {
			t.Errorf("%s: %q, %q, want %q, %q", tt.domain, servers, primary, tt.servers, tt.primary)
		}
	}
}
