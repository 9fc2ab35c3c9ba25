package find

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keypaird/renew/problem"
)

const testName = "keypaird-dns"

func TestPath(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	want := filepath.Join(dir, testName)
	if err := os.WriteFile(want, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if got, err := program(testName, nil, true); err != nil || got != want {
		t.Errorf("program = %q, %v, want %q", got, err, want)
	}
	if got, err := program(testName, nil, false); err == nil || err.Error() != "cannot find keypaird-dns" {
		t.Errorf("as root program = %q, %v, want none in PATH", got, err)
	}
}

func TestUnsafe(t *testing.T) {
	for _, tt := range []struct {
		name      string
		dir, file os.FileMode
		owner     int
		link      bool
		safe      bool
	}{
		{"ours alone", 0o700, 0o755, -1, false, true},
		{"a link to ours", 0o700, 0o755, -1, true, true},
		{"everyone may write it", 0o700, 0o757, -1, false, false},
		{"a group may write it", 0o700, 0o775, -1, false, false},
		{"everyone may write its directory", 0o777, 0o755, -1, false, false},
		{"in a sticky directory", os.ModeSticky | 0o777, 0o755, -1, false, false},
		{"a link into a directory everyone may write", 0o777, 0o755, -1, true, false},
		{"it belongs to somebody else", 0o755, 0o755, 65534, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.owner >= 0 && os.Geteuid() != 0 {
				t.Skip("only root may give files away")
			}
			dir := t.TempDir()
			path := filepath.Join(dir, testName)
			if err := errors.Join(os.WriteFile(path, nil, 0o755), os.Chmod(path, tt.file), os.Chmod(dir, tt.dir), os.Chown(path, tt.owner, -1)); err != nil {
				t.Fatal(err)
			}
			if tt.link {
				dir = t.TempDir()
				link := filepath.Join(dir, testName)
				if err := errors.Join(os.Chmod(dir, 0o700), os.Symlink(path, link)); err != nil {
					t.Fatal(err)
				}
				path = link
			}
			got, err := program(testName, []string{dir}, false)
			switch {
			case tt.safe && (err != nil || got != path):
				t.Errorf("program = %q, %v, want %q", got, err, path)
			case !tt.safe && (got != "" || !strings.Contains(problem.Remedy(err), "chmod go-w")):
				t.Errorf("program = %q, %v, want it refused", got, err)
			}
		})
	}
}
