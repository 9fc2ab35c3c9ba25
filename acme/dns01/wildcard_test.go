package dns01

import (
	"context"
	"strings"
	"testing"
)

// A CNAME that a wildcard synthesizes is no delegation: the account may change the
// challenge record only.
func TestBINDWildcardCNAME(t *testing.T) {
	b := startBIND(t)
	for _, tt := range []struct{ domain, fqdn string }{
		{"w.example.org", "_acme-challenge.w.example.org."},
		{"wild.example.org", "_acme-challenge.wild.example.org."},
		{"a.wild.example.org", "_acme-challenge.a.wild.example.org."},
		{"covered.example.org", "covered.w.example.org."},
	} {
		t.Run(tt.domain, func(t *testing.T) {
			a := b.account(t, "host")
			err := a.Solve(t.Context(), challenge(tt.domain, "token"), func(context.Context) error {
				if got := b.txt(t, tt.fqdn); !strings.Contains(got, txtValue(challenge(tt.domain, "token").KeyAuth)) {
					t.Errorf("TXT of %s: %q", tt.fqdn, got)
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			if err := a.Close(t.Context()); err != nil {
				t.Error(err)
			}
			if got := b.txt(t, tt.fqdn); strings.Contains(got, txtValue(challenge(tt.domain, "token").KeyAuth)) {
				t.Errorf("left at %s: %q", tt.fqdn, got)
			}
		})
	}
}
