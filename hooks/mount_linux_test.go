package hooks

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"keypaird/renew"
)

// bind mounts the file at path onto itself, as a container's runtime mounts one.
func bind(t *testing.T, path string) {
	t.Helper()
	err := unix.Mount(path, path, "", unix.MS_BIND, "")
	if errors.Is(err, unix.EPERM) {
		t.Skip("only root can mount")
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// A file that is a mount point cannot be replaced: it is written where it is, forward
// and back, with the owner and mode that it is to have.
func TestMountPoint(t *testing.T) {
	for _, tt := range []struct {
		name, reload string
		mode         os.FileMode // of the key before
		want         os.FileMode // and after
		readOnly     bool        // the directory
	}{
		{"renewed", "", 0o600, 0o600, false},
		{"renewed, its mode was another", "", 0o640, 0o600, false},
		{"taken back", `[ "$KEYPAIRD_EVENT" = rollback ] || exit 1`, 0o640, 0o640, false},
		{"in a directory that cannot be written", "", 0o600, 0o600, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			old, p := good(t, plain), good(t, plain)
			r := startRelayd(t, []string{plain}, old)
			write(t, r.key(plain), string(old.Key())+strings.Repeat("# a longer file\n", 1000))
			if err := os.Chmod(r.key(plain), tt.mode); err != nil {
				t.Fatal(err)
			}
			if tt.readOnly {
				for _, dir := range []string{filepath.Dir(r.key(plain)), r.ssl} {
					bind(t, dir)
					if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
						t.Fatal(err)
					}
				}
			}
			for _, path := range []string{r.key(plain), r.crt(plain)} {
				bind(t, path)
				if err := unix.Mount("", path, "", unix.MS_REMOUNT|unix.MS_BIND, ""); err != nil {
					t.Fatal(err)
				}
			}
			before, err := os.Stat(r.key(plain))
			if err != nil {
				t.Fatal(err)
			}
			if err := r.d.Writable(plain); err != nil {
				t.Errorf("Writable = %v", err)
			}
			if list := r.d.Warnings(plain); len(list) != 2 || !strings.Contains(list[0], "is a mount point") {
				t.Errorf("Warnings = %q", list)
			}
			r.reload(tt.reload)
			want := p
			if tt.reload != "" {
				want = old
			}
			if err := r.d.deploy(t.Context(), []renew.Change{{Name: plain, New: p, Previous: old}}); (err == nil) != (tt.reload == "") {
				t.Fatalf("Deploy = %v", err)
			}
			if got := text(t, r.key(plain)); !strings.HasPrefix(got, string(want.Key())) || text(t, r.crt(plain)) != string(want.FullChain()) || tt.reload == "" && got != string(want.Key()) {
				t.Errorf("the key file holds\n%s", got)
			}
			after, err := os.Stat(r.key(plain))
			if err != nil || after.Mode() != tt.want || !os.SameFile(before, after) {
				t.Errorf("mode %v, want %v, in the same file (%v)", after.Mode(), tt.want, err)
			}
			noLeftovers(t, r.ssl, filepath.Dir(r.key(plain)))
		})
	}
}
