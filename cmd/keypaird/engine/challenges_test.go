package engine

import (
	"context"
	"errors"
	"net/netip"
	"testing"
)

func TestNodeAt(t *testing.T) {
	hosts := map[string][]netip.Addr{
		"mx1": {netip.MustParseAddr("192.0.2.1")},
		"mx2": {netip.MustParseAddr("2001:db8::2"), netip.MustParseAddr("::ffff:192.0.2.2")},
	}
	node := nodeAt([]string{"web", "mx1", "mx2"}, func(_ context.Context, host string) ([]netip.Addr, error) {
		if hosts[host] == nil {
			return nil, errors.New("no such host")
		}
		return hosts[host], nil
	})
	for addr, want := range map[string]string{"192.0.2.1": "mx1", "192.0.2.2": "mx2", "2001:db8::2": "mx2", "192.0.2.3": ""} {
		if got := node(t.Context(), netip.MustParseAddr(addr)); got != want {
			t.Errorf("at %s: %q, want %q", addr, got, want)
		}
	}
}
