package engine

import (
	"strings"
	"testing"

	"keypaird/acme"
	"keypaird/acme/dns01"
	"keypaird/cmd/keypaird/config"
)

// The resolvers of an account are asked about the hosts that it proves, and of no
// others: they may know no other zone.
func TestTLSAResolvers(t *testing.T) {
	e := &Engine{Accounts: map[string]*dns01.Account{
		"a": {Name: "a", Resolvers: []string{"192.0.2.1:53"}},
		"b": {Name: "b", Resolvers: []string{"192.0.2.2:53"}},
	}}
	target := config.Target{Challenges: []config.Challenge{
		{Name: "mx2.example.org", Type: acme.DNS01, Account: "b"}, {Name: "*.example.org", Type: acme.DNS01, Account: "a"},
		{Name: "mx.example.net", Type: acme.HTTP01},
	}}
	for _, tt := range []struct{ host, want string }{
		{"mx1.example.org", "192.0.2.1:53"},
		{"mx2.example.org", "192.0.2.2:53"},
		{"mx.example.net", ""},
		{"mx1.example.com", ""},
	} {
		name := "_25._tcp." + tt.host
		target.TLSA = []string{name}
		if got := strings.Join(e.resolver(target)[name].Resolvers, " "); got != tt.want {
			t.Errorf("for %s, %q is asked, want %q", tt.host, got, tt.want)
		}
	}
}
