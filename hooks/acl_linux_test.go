package hooks

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"keypaird/hooks/acl"
	"keypaird/renew"
)

// newACL is the list of a file: the rights of owner, group and all others, and
// of a named user within a mask.
func newACL(owner, group, user, mask, other byte) acl.List {
	a := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range []struct {
		tag  uint16
		perm byte
		id   uint32
	}{{0x01, owner, 1<<32 - 1}, {0x02, user, 12345}, {0x04, group, 1<<32 - 1}, {0x10, mask, 1<<32 - 1}, {0x20, other, 1<<32 - 1}} {
		a = binary.LittleEndian.AppendUint16(a, e.tag)
		a = binary.LittleEndian.AppendUint16(a, uint16(e.perm))
		a = binary.LittleEndian.AppendUint32(a, e.id)
	}
	return a
}

const accessList = "system.posix_acl_access"

// setACL gives a file or directory a list. Some file systems keep none.
func setACL(t *testing.T, path, name string, a acl.List) {
	t.Helper()
	if err := unix.Setxattr(path, name, a, 0); errors.Is(err, unix.ENOTSUP) {
		t.Skipf("%s: its file system has no access control lists", path)
	} else if err != nil {
		t.Fatal(err)
	}
}

// aclOf is the list of a file, and its mode.
func aclOf(t *testing.T, path string) (acl.List, fs.FileMode) {
	t.Helper()
	f, ok, err := read(path)
	if err != nil || !ok || f.gone {
		t.Fatalf("%s cannot be read: %v", path, err)
	}
	return f.acl, f.mode.Perm
}

// A user that an access control list lets read the key can read the next key
// too, and the previous one that is put back. The group, which could not, can
// read neither: the group's bits of the mode are the mask of the list.
func TestACL(t *testing.T) {
	list := newACL(6, 0, 4, 4, 0)
	for _, tt := range []struct {
		name, reload string
		previous     bool // and its files are another pair's
	}{
		{"renewed", "", false},
		{"taken back to the files that were there", `[ "$KEYPAIRD_EVENT" = rollback ] || exit 1`, false},
		{"taken back to another pair", `[ "$KEYPAIRD_EVENT" = rollback ] || exit 1`, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			old, p := good(t, plain), good(t, plain)
			r := startRelayd(t, []string{plain}, old)
			setACL(t, r.key(plain), accessList, list)
			r.reload(tt.reload)
			c := renew.Change{Name: plain, New: p, Previous: old}
			want := p
			if tt.reload != "" {
				want = old
			}
			if tt.previous {
				c.Previous = good(t, plain)
				want = c.Previous
			}
			if err := r.d.deploy(t.Context(), []renew.Change{c}); (err == nil) != (tt.reload == "") {
				t.Fatalf("Deploy = %v", err)
			}
			r.holds(plain, want)
			if got, mode := aclOf(t, r.key(plain)); string(got) != string(list) || mode != 0o640 {
				t.Errorf("mode %04o, list %x\nwant 0640, %x", mode, got, list)
			}
		})
	}
}

// A list that a directory has for new files grants nothing on a file that was
// there before it, and is put back.
func TestACLOfDirectory(t *testing.T) {
	old, p := good(t, plain), good(t, plain)
	r := startRelayd(t, []string{plain}, old)
	if err := os.Chmod(r.key(plain), 0o640); err != nil {
		t.Fatal(err)
	}
	setACL(t, filepath.Dir(r.key(plain)), "system.posix_acl_default", newACL(7, 5, 4, 7, 0))
	r.reload(`[ "$KEYPAIRD_EVENT" = rollback ] || exit 1`)
	if err := r.d.deploy(t.Context(), []renew.Change{{Name: plain, New: p, Previous: old}}); err == nil {
		t.Fatal("Deploy did not fail")
	}
	r.holds(plain, old)
	if got, mode := aclOf(t, r.key(plain)); got != nil || mode != 0o640 {
		t.Errorf("mode %04o, list %x; want 0640 and none", mode, got)
	}
}

// A file that is there already, with another list, is written.
func TestPutSeesACL(t *testing.T) {
	path := filepath.Join(safeDir(t), "key")
	write(t, path, "x")
	f, _, err := read(path)
	if err != nil {
		t.Fatal(err)
	}
	setACL(t, path, accessList, newACL(6, 0, 4, 0, 0)) // shows 0600
	if f.there() {
		t.Error("taken for the file without a list")
	}
	if _, err := put([]state{{files: []file{f}}}); err != nil {
		t.Fatal(err)
	}
	if got, mode := aclOf(t, path); got != nil || mode != 0o600 {
		t.Errorf("mode %04o, list %x; want 0600 and none", mode, got)
	}
}
