package imports

import (
	"os"
	"path/filepath"
	"testing"
)

// The directory of responses, which some clients remove, is made for a web server to read,
// and never through a link out of the document root.
func TestMakeWebroot(t *testing.T) {
	dir := t.TempDir()
	root := filepath.Join(dir, "www")
	path := filepath.Join(root, ".well-known/acme-challenge")
	if err := makeWebroot(path); err == nil {
		t.Error("a document root that is missing was made")
	}
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := makeWebroot(path); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
	}
	if err := os.RemoveAll(filepath.Join(root, ".well-known")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dir, filepath.Join(root, ".well-known")); err != nil {
		t.Fatal(err)
	}
	if err := makeWebroot(path); err == nil {
		t.Error("a link out of the document root was followed")
	}
	if _, err := os.Lstat(filepath.Join(dir, "acme-challenge")); err == nil {
		t.Error("a directory was made outside")
	}
}
