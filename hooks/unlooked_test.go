package hooks

import (
	"path/filepath"
	"strings"
	"testing"

	"keypaird/renew"
)

// A deployment that is looked at nowhere is reloaded, though its files are there
// and it is said to have been deployed before: nobody can see that. Nor is it
// called verified.
func TestNowhereToLook(t *testing.T) {
	dir, p := safeDir(t), good(t, plain)
	var log strings.Builder
	d := &Deployment{
		Name: "web", Combined: filepath.Join(dir, "pair.pem"), Log: textLog(&log),
		Reload: []string{script(t, "echo x >>"+filepath.Join(dir, "reloads"))},
	}
	for range 2 {
		if err := d.deploy(t.Context(), []renew.Change{{Name: plain, New: p, Deployed: true}}); err != nil {
			t.Fatal(err)
		}
	}
	if got := text(t, filepath.Join(dir, "reloads")); got != "x\nx\n" {
		t.Errorf("reloads: %q, want two", got)
	}
	if strings.Contains(log.String(), "verified") {
		t.Errorf("log says %s", log.String())
	}
}
