package hooks

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"keypaird/hooks/standin"
	"keypaird/renew"
	"keypaird/renew/durable"
)

// What is there already is not written again, or going back to it would need
// what writing needs.
func TestPutLeavesAlone(t *testing.T) {
	private := durable.FileMode{Perm: 0o600, UID: -1, GID: -1}
	for _, tt := range []struct {
		name  string
		spoil func(path string) error
		want  bool // left alone
	}{
		{"the same", func(string) error { return nil }, true},
		{"other content", func(p string) error { return os.WriteFile(p, []byte("y"), 0o600) }, false},
		{"other mode", func(p string) error { return os.Chmod(p, 0o640) }, false},
		{"set-uid bit", func(p string) error { return os.Chmod(p, 0o600|os.ModeSetuid) }, false},
		{"other owner", func(p string) error { return os.Chown(p, 1, -1) }, false},
		{"symbolic link to the same", func(p string) error {
			return errors.Join(os.Rename(p, p+".real"), os.Symlink(p+".real", p))
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(safeDir(t), "f")
			write(t, path, "x")
			write(t, staged(path), "of a run that was killed")
			if err := tt.spoil(path); errors.Is(err, os.ErrPermission) {
				t.Skip(err)
			} else if err != nil {
				t.Fatal(err)
			}
			before, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			touched, err := put([]state{{files: []file{{path: path, data: []byte("x"), mode: private}}}})
			if err != nil || touched == tt.want {
				t.Fatalf("put = %v, %v; want touched %v", touched, err, !tt.want)
			}
			after, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			if got := os.SameFile(before, after); got != tt.want || after.Mode() != 0o600 || text(t, path) != "x" {
				t.Errorf("left alone: %v, want %v (mode %v, %q)", got, tt.want, after.Mode(), text(t, path))
			}
			noLeftovers(t, filepath.Dir(path))
		})
	}
}

// A directory that others can write is refused even if there is nothing to do.
func TestPutLooksAtTheDirectory(t *testing.T) {
	dir := safeDir(t)
	path := filepath.Join(dir, "f")
	write(t, path, "x")
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	mode := durable.FileMode{Perm: 0o600, UID: -1, GID: -1}
	_, err := put([]state{{files: []file{{path: path, data: []byte("x"), mode: mode}}}})
	if _, ok := errors.AsType[*durable.UnsafeError](err); !ok {
		t.Errorf("put = %v, want *durable.UnsafeError", err)
	}
}

// The new files were in place when we came, of a run that was killed before
// its reload. That is something to take back, too.
func TestRollbackOfWhatWasThere(t *testing.T) {
	old, p := good(t, plain), good(t, plain)
	r := startRelayd(t, []string{plain}, p)
	if err := os.Chmod(r.crt(plain), 0o644); err != nil { // as it is configured
		t.Fatal(err)
	}
	r.reload(`[ "$KEYPAIRD_EVENT" = rollback ] || exit 1`)
	failure(t, r.d.deploy(t.Context(), []renew.Change{{Name: plain, New: p, Previous: old}}), StepReload).stands(t, true, false, plain)
	r.holds(plain, old)
}

// A first pair is written over nothing, and has the modes of a deployment.
func TestPutFirst(t *testing.T) {
	dir := safeDir(t)
	d := Deployment{Chain: filepath.Join(dir, "{name}.crt"), Key: filepath.Join(dir, "{name}.key"), KeyMode: 0o640}
	p, err := standin.New(t.Context(), []string{"example.org"}, "ec256", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := d.PutFirst("a", p); err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(filepath.Join(dir, "a.key")); err != nil || fi.Mode() != 0o640 || text(t, filepath.Join(dir, "a.crt")) != string(p.FullChain()) {
		t.Errorf("the files: %v, %v", fi, err)
	}
	write(t, filepath.Join(dir, "b.crt"), "of somebody else")
	if err := d.PutFirst("b", p); err == nil || text(t, filepath.Join(dir, "b.crt")) != "of somebody else" {
		t.Errorf("over the file of somebody else: %v", err)
	}
	if err := os.Symlink("/nowhere", filepath.Join(dir, "c.key")); err != nil {
		t.Fatal(err)
	}
	if err := d.PutFirst("c", p); err == nil {
		t.Error("over a link that leads nowhere")
	}
	noLeftovers(t, dir)
}
