package trees

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// Trees are found in the usual places of a home directory, and known by what is in them.
func TestFind(t *testing.T) {
	home := filepath.Join(t.TempDir(), "a[b]*")
	for _, dir := range []string{".acme.sh/ca", ".lego/accounts/ca/me@example.org", ".local/share/caddy/acme"} {
		if err := os.MkdirAll(filepath.Join(home, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(home, ".lego/accounts/ca/me@example.org/account.json"), "{}")
	for client, dir := range map[string]string{"acme.sh": ".acme.sh", "lego": ".lego", "caddy": ".local/share/caddy"} {
		at := Location{client, filepath.Join(home, dir)}
		if got := Find(client, home); !slices.Contains(got, at) {
			t.Errorf("Find(%s) = %v", client, got)
		}
		if got := Recognize(at.Dir); got != client {
			t.Errorf("Recognize(%s) = %q", dir, got)
		}
	}
	if got := Recognize(home); got != "" {
		t.Errorf("Recognize = %q for another directory", got)
	}
}
