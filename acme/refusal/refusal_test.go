package refusal

import (
	"strings"
	"testing"
)

// The remedy for a CA that cannot connect names the port of the challenge.
func TestReachRemedy(t *testing.T) {
	for _, tt := range []struct{ challenge, detail, want string }{
		{"http-01", "", "port 80 must be reachable from outside at a.test: check that record, the firewall and [http-01] listen;"},
		{"http-01", "2001:db8::1: Timeout", "port 80 must be reachable from outside at 2001:db8::1, the AAAA record of a.test:"},
		{"tls-alpn-01", "", "port 443 must be reachable from outside at a.test: check that record, the firewall and [tls-alpn] listen;"},
	} {
		p := &Problem{Type: "connection", Challenge: tt.challenge, Identifier: "a.test", Detail: tt.detail}
		if got := p.Remedy(); !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s: %s, want %s", tt.challenge, got, tt.want)
		}
	}
}
