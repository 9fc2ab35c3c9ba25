package keypair

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keypaird/renew/durable"
)

func mkdir(path string, mode os.FileMode) error {
	return errors.Join(os.MkdirAll(path, 0o700), os.Chmod(path, mode)) // past the umask
}

// TestUnsafeInside opens directories of a store to others after it was opened.
func TestUnsafeInside(t *testing.T) {
	ca := newCA(t)
	for _, inside := range []string{"", "v000001", "pending"} {
		s := open(t, t.TempDir())
		setLive(t, s, name, add(t, s, name, ca.pair(t, name)))
		must(t, s.WriteFile(name, "pending/key.pem", []byte("key")))
		must(t, os.Chmod(filepath.Join(s.Dir(name), inside), 0o770))
		_, err := s.Live(name)
		if inside == "pending" {
			_, err = s.ReadFile(name, "pending/key.pem")
		}
		var bad *durable.UnsafeError
		if !errors.As(err, &bad) || bad.Path != filepath.Join(s.Dir(name), inside) {
			t.Errorf("%q writable by the group: %v", inside, err)
		}
	}
}

func TestOpenMakesDirectories(t *testing.T) {
	d := t.TempDir()
	must(t, os.Chmod(d, 0o777|os.ModeSticky)) // like /tmp
	open(t, d+"/a/b")
	must(t, modes(d+"/a"))
	must(t, os.Symlink("nowhere", d+"/link"))
	if _, err := Open(d + "/link/x"); err == nil {
		t.Error("Open made something behind a dangling link")
	}
	must(t, os.Chmod(d, 0o777))
	if _, err := Open(d + "/c"); err == nil || !strings.Contains(err.Error(), "written by everyone") {
		t.Errorf("Open below a directory that everyone may write: %v", err)
	}
	if got := entries(t, d); len(got) != 2 {
		t.Errorf("directory holds %q", got)
	}
}
