package hooks

import (
	"os"
	"path/filepath"
	"testing"

	"keypaird/renew/exposed"
	"keypaird/renew/testutil"
)

// Whoever the configuration gives the key to may read it, and no one else.
func TestExposedKeys(t *testing.T) {
	if os.Geteuid() != 0 {
		testutil.Missing(t, "root's rights")
	}
	dir := safeDir(t)
	path := filepath.Join(dir, plain+".pem")
	write(t, path, "key")
	d := Deployment{Name: "haproxy", Combined: dir + "/{name}.pem", Chain: dir + "/{name}.crt", Owner: "64001", Group: "64002", KeyMode: 0o640}
	write(t, dir+"/"+plain+".crt", "chain")
	testutil.Must(t, os.Chmod(dir+"/"+plain+".crt", 0o644))
	for _, tt := range []struct {
		uid, gid int
		mode     os.FileMode
		exposed  bool
	}{
		{64001, 64002, 0o640, false},
		{0, 0, 0o600, false},
		{64001, 64002, 0o644, true},
		{64003, 64002, 0o640, true},
	} {
		testutil.Must(t, os.Chown(path, tt.uid, tt.gid))
		testutil.Must(t, os.Chmod(path, tt.mode))
		found := d.ExposedKeys(plain)
		if len(found) != 1 || found[0].Path != path || (found[0].Kind != exposed.Not) != tt.exposed {
			t.Errorf("%d:%d %04o: %+v, want exposed %v", tt.uid, tt.gid, tt.mode, found, tt.exposed)
		}
	}
}
