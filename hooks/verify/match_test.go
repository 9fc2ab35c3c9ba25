package verify

import (
	"crypto/x509"
	"testing"

	"keypaird/hooks/probe"
	"keypaird/hooks/verify/input"
)

// A certificate that is served is one of the stored pairs, or another one.
func TestMatch(t *testing.T) {
	p := newPairs(t)
	stored := &input.Stored{
		Intermediates: [][]byte{p.ca.Intermediate.Raw, {1}},
		Targets: []input.Pairs{
			{Name: "empty", Names: []string{"empty.example.org"}},
			{Name: "plain", Names: []string{"example.org"}, Live: "v000002", Versions: []input.Version{
				{ID: "v000003", Fingerprint: probe.Fingerprint(p.wild.Leaf), Chain: []int{0}},
				{ID: "v000002", Fingerprint: probe.Fingerprint(p.plain.Leaf), Chain: []int{0, 1}},
				{ID: "v000001", Fingerprint: probe.Fingerprint(p.ended.Leaf)},
			}},
		},
	}
	m := newMatcher(stored)
	for _, tt := range []struct {
		leaf    *x509.Certificate
		source  string
		version string
		chain   int
	}{
		{p.plain.Leaf, live, "v000002", 1},
		{p.ended.Leaf, previous, "v000001", 0},
		{p.wild.Leaf, newer, "v000003", 1},
		{p.host.Leaf, other, "", 0},
	} {
		if o := m.match(tt.leaf); o.Source != tt.source || o.Version != tt.version || len(o.intermediates()) != tt.chain {
			t.Errorf("%s: %+v, want %s", tt.leaf.DNSNames, o, tt.source)
		}
	}
	stored.Targets[1].Live = ""
	if o := m.match(p.ended.Leaf); o.Source != newer {
		t.Errorf("without a live pair: %+v", o)
	}
	if o := newMatcher(nil).match(p.plain.Leaf); o != nil {
		t.Errorf("nothing is compared: %+v", o)
	}
	if name := m.targetFor([]string{"no.example.net", "example.org"}); name != "plain" {
		t.Errorf("the target with the name: %q", name)
	}
}
