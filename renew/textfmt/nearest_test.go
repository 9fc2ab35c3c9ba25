package textfmt

import (
	"strings"
	"testing"
)

func TestNearest(t *testing.T) {
	known := []string{"host", "host_dns", "dns", "http-01", "one_certificate", "reload", "identity", "env", "verify", "ca"}
	for _, tt := range []struct{ word, want string }{
		{"hots", "host"},
		{"HOST", "host"},
		{"host-dns", "host_dns"},
		{"HTTP01", "http-01"},
		{"http", "http-01"},
		{"identities", "identity"},
		{"onecert", "one_certificate"},
		{"environment", "env"},
		{"verified", "verify"},
		{"dn", "dns"},
		{"reloads", "reload"},
		{"restart", ""},
		{"a", ""},
		{"", ""},
		{strings.Repeat("host", 1000), ""},
	} {
		if got := Nearest(tt.word, known); got != tt.want {
			t.Errorf("nearest(%.20q) = %q, want %q", tt.word, got, tt.want)
		}
	}
}
