package standin

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"keypaird/renew/keypair"
)

func TestStandIn(t *testing.T) {
	names := []string{"*.example.org", "192.0.2.1", "example.org"}
	for _, keyType := range []string{"ec256", "ec384", "rsa2048"} {
		p, err := New(t.Context(), names, keyType, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if err := p.CheckNew(names, time.Now()); err != nil {
			t.Error(err)
		}
		if got := keypair.KeyType(p.Leaf.PublicKey); got != keyType || !Is(p.Leaf) {
			t.Errorf("a stand-in with %s: %s, %v", keyType, got, Is(p.Leaf))
		}
		path := filepath.Join(t.TempDir(), "combined.pem")
		if err := os.WriteFile(path, p.Combined(), 0o600); err != nil {
			t.Fatal(err)
		}
		if leaf := In(path); leaf == nil || !leaf.Equal(p.Leaf) {
			t.Errorf("%s: no stand-in is found in its file", keyType)
		}
	}
	if _, err := New(t.Context(), nil, "ec256", time.Now()); err == nil {
		t.Error("a stand-in without names")
	}
}
