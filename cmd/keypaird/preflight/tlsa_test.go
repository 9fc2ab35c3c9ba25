package preflight

import (
	"strings"
	"testing"

	"keypaird/cmd/keypaird/config"
)

func TestUnlistedTLSA(t *testing.T) {
	key := strings.Repeat("ab", 32)
	for _, tt := range []struct {
		name      string
		target    config.Target
		published []string
		remedy    string // empty: no finding
	}{
		{"no records", config.Target{Name: "mx"}, nil, ""},
		{"the key of the server", config.Target{Name: "mx"}, []string{"3 1 1 " + key}, `tlsa = ["_25._tcp.mx.example.org"] in [cert."mx"]`},
		{"an identity", config.Target{Name: "mx.example.org", Identity: "example.org"}, []string{"3 1 1 " + key}, "an [identity] has no tlsa"},
		{"a CA, which stays", config.Target{Name: "mx"}, []string{"2 1 1 " + key}, ""},
		{"not usable", config.Target{Name: "mx"}, []string{"3 1 1 ab"}, ""},
	} {
		found := unlistedTLSA(tt.target, "_25._tcp.mx.example.org", tt.published)
		switch {
		case tt.remedy == "" && len(found) == 0:
		case len(found) != 1 || tt.remedy == "" || !strings.Contains(found[0].Remedy, tt.remedy) || found[0].Result != Warning:
			t.Errorf("%s: %+v, want %q", tt.name, found, tt.remedy)
		}
	}
}
