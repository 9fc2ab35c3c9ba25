package exposed

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"keypaird/renew/testutil"
)

func TestCheck(t *testing.T) {
	const user, group = 64001, 64002
	top, err := os.MkdirTemp("", "exposed") // t.TempDir is below a directory that others cannot reach
	testutil.Must(t, err)
	t.Cleanup(func() { os.RemoveAll(top) })
	testutil.Must(t, os.Chmod(top, 0o755))
	if !reachable(top, -1) {
		t.Skipf("other users cannot reach %s", top)
	}
	for _, tt := range []struct {
		name     string
		dir      fs.FileMode
		mode     fs.FileMode
		uid, gid int // 0: ours
		allowed  fs.FileMode
		owners   []int
		want     Kind
		why      string
	}{
		{"private", 0o755, 0o600, 0, 0, 0o600, nil, Not, ""},
		{"executable, not readable", 0o755, 0o611, 0, 0, 0o600, nil, Not, ""},
		{"of our own group", 0o755, 0o640, 0, 0, 0o600, nil, Not, ""},
		{"readable by all", 0o755, 0o644, 0, 0, 0o600, nil, Read, "can be read by every user (mode 0644)"},
		{"readable by all in a directory to pass through", 0o711, 0o604, 0, 0, 0o600, nil, Read, "can be read by every user (mode 0604)"},
		{"readable by all in a closed directory", 0o700, 0o644, 0, 0, 0o600, nil, Loose, "has mode 0644, and only a directory above keeps others out"},
		{"of another group", 0o755, 0o640, 0, group, 0o600, nil, Read, "can be read by group 64002 (mode 0640)"},
		{"of another group that cannot pass", 0o700, 0o640, 0, group, 0o600, nil, Loose, "has mode 0640, and only a directory above keeps others out"},
		{"of a group for which it is", 0o755, 0o640, 0, group, 0o640, nil, Not, ""},
		{"another user's", 0o755, 0o600, user, 0, 0o600, nil, Owned, "belongs to user 64001"},
		{"another user's in a closed directory", 0o700, 0o600, user, 0, 0o600, nil, Owned, "belongs to user 64001"},
		{"of a user for which it is", 0o755, 0o600, user, 0, 0o600, []int{user}, Not, ""},
		{"of a user for which it is, readable by all", 0o755, 0o644, user, 0, 0o600, []int{user}, Read, "can be read by every user (mode 0644)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.uid+tt.gid > 0 && os.Geteuid() != 0 {
				testutil.Missing(t, "root's rights")
			}
			dir, err := os.MkdirTemp(top, "")
			testutil.Must(t, err)
			path := filepath.Join(dir, "key.pem")
			testutil.Must(t, os.WriteFile(path, nil, 0o600))
			if tt.uid+tt.gid > 0 {
				testutil.Must(t, os.Chown(path, tt.uid, tt.gid))
			}
			testutil.Must(t, os.Chmod(path, tt.mode))
			testutil.Must(t, os.Chmod(dir, tt.dir))
			if got := Check(path, tt.allowed, tt.owners...); got != (Finding{path, tt.want, tt.why}) {
				t.Errorf("%+v, want %v %q", got, tt.want, tt.why)
			}
		})
	}
	if got := Check(filepath.Join(top, "none"), 0o600); got.Kind != Not {
		t.Errorf("a file that is not there: %+v", got)
	}
}
