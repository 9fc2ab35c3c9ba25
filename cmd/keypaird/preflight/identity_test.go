package preflight

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
)

// An address that serves our token is local, whatever the subject of its finding is
// called. The address is not part of the JSON.
func TestLocalAddrs(t *testing.T) {
	addr := netip.MustParseAddr
	found := []Finding{
		{Check: "http-01", Subject: "served", Result: Good, Addr: addr("203.0.113.1")},
		{Check: "http-01", Subject: "served by another server", Result: Failed, Addr: addr("203.0.113.2")},
		{Check: "http-01", Subject: "name at 203.0.113.3", Result: Good},
	}
	local := localAddrs(found)
	for _, tt := range []struct {
		addr string
		want bool
	}{
		{"203.0.113.1", true}, {"203.0.113.2", false}, {"203.0.113.3", false}, {"127.0.0.1", true},
	} {
		if got := local[addr(tt.addr)]; got != tt.want {
			t.Errorf("%s: %v, want %v", tt.addr, got, tt.want)
		}
	}
	if text, err := json.Marshal(found); err != nil || strings.Contains(string(text), "203.0.113.1") {
		t.Errorf("JSON %s, %v", text, err)
	}
}
