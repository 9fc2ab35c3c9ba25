package durable

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A place is a way to set up d/dir, which is then looked at.
type place struct {
	name  string
	setup func(d string) error // d/dir is looked at
	want  string               // "PATH why" with D for d; empty: safe
}

func mkdir(path string, mode os.FileMode) error {
	return errors.Join(os.MkdirAll(path, 0o700), os.Chmod(path, mode)) // past the umask
}

func places() []place {
	rows := []place{
		{"private", func(d string) error { return mkdir(d+"/dir", 0o700) }, ""},
		{"others may look", func(d string) error { return mkdir(d+"/dir", 0o755) }, ""},
		{"group may write", func(d string) error { return mkdir(d+"/dir", 0o775) }, "D/dir can be written by its group (mode 0775)"},
		{"everyone may write", func(d string) error { return mkdir(d+"/dir", 0o777) }, "D/dir can be written by everyone (mode 0777)"},
		{"like /tmp", func(d string) error { return mkdir(d+"/dir", 0o777|os.ModeSticky) }, "D/dir can be written by everyone"},
		{"below one like /tmp", func(d string) error {
			return errors.Join(mkdir(d+"/tmp", 0o777|os.ModeSticky), mkdir(d+"/tmp/x", 0o700), os.Symlink("tmp/x", d+"/dir"))
		}, ""},
		{"below one that everyone may write", func(d string) error {
			return errors.Join(mkdir(d+"/open", 0o777), mkdir(d+"/open/x/y", 0o700), os.Symlink("open/x/y", d+"/dir"))
		}, "D/open can be written by everyone"},
		{"link through such a directory and back", func(d string) error {
			return errors.Join(mkdir(d+"/open", 0o777), mkdir(d+"/fine", 0o700), os.Symlink("open/../fine", d+"/dir"))
		}, "D/open can be written by everyone"},
		{"link in such a directory", func(d string) error {
			return errors.Join(mkdir(d+"/open", 0o777), mkdir(d+"/fine", 0o700), os.Symlink(d+"/fine", d+"/open/link"), os.Symlink("open/link", d+"/dir"))
		}, "D/open can be written by everyone"},
		{"absolute link", func(d string) error { return errors.Join(mkdir(d+"/fine", 0o700), os.Symlink(d+"/fine/", d+"/dir")) }, ""},
		{"link in circles", func(d string) error { return os.Symlink("dir", d+"/dir") }, "too many levels of symbolic links"},
		{"a file", func(d string) error { return os.WriteFile(d+"/dir", nil, 0o600) }, "not a directory"},
		{"missing", func(string) error { return nil }, "no such file or directory"},
	}
	if os.Geteuid() == 0 {
		stranger := func(path string) error { return os.Lchown(path, 12345, 12345) }
		rows = append(rows,
			place{"somebody else's", func(d string) error { return errors.Join(mkdir(d+"/dir", 0o755), stranger(d+"/dir")) }, "D/dir belongs to user 12345"},
			place{"below somebody else's", func(d string) error {
				return errors.Join(mkdir(d+"/home/x", 0o700), stranger(d+"/home"), os.Symlink("home/x", d+"/dir"))
			}, "D/home belongs to user 12345"},
			place{"somebody else's link in one like /tmp", func(d string) error {
				return errors.Join(mkdir(d+"/tmp", 0o777|os.ModeSticky), mkdir(d+"/fine", 0o700),
					os.Symlink(d+"/fine", d+"/tmp/link"), stranger(d+"/tmp/link"), os.Symlink("tmp/link", d+"/dir"))
			}, "D/tmp/link is a symbolic link of user 12345"},
			place{"somebody else's directory in one like /tmp", func(d string) error {
				return errors.Join(mkdir(d+"/tmp/x", 0o755), os.Chmod(d+"/tmp", 0o777|os.ModeSticky), stranger(d+"/tmp/x"), os.Symlink("tmp/x", d+"/dir"))
			}, "D/tmp/x belongs to user 12345"},
		)
	}
	return rows
}

func TestCheckDir(t *testing.T) {
	for _, tt := range places() {
		t.Run(tt.name, func(t *testing.T) {
			d, err := filepath.EvalSymlinks(t.TempDir())
			must(t, err)
			must(t, tt.setup(d))
			want := strings.Replace(tt.want, "D/", d+"/", 1)
			calls := map[string]error{
				"CheckDir":  CheckDir(d + "/dir"),
				"WriteFile": WriteFile(d+"/dir/x", nil, FileMode{0o600, -1, -1}),
			}
			if tt.name != "missing" {
				d, err := Open(d + "/dir")
				if err == nil {
					d.Close()
				}
				calls["Open"] = err
			}
			for call, err := range calls {
				if want == "" {
					if err != nil {
						t.Errorf("%s: %v", call, err)
					}
					continue
				}
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%s: %v, want %q", call, err, want)
				}
				var bad *UnsafeError
				if errors.As(err, &bad) != strings.Contains(tt.want, "D/") || bad != nil && (bad.Remedy() == "" || bad.Path == "") {
					t.Errorf("%s: %#v", call, err)
				}
			}
		})
	}
}

// Root is not told to take a directory from the user whose daemon works in it.
func TestRemedyOfOwner(t *testing.T) {
	if got := ownerRemedy(64, 0, "/var/lib/keypaird"); !strings.HasPrefix(got, "run this as user 64 ") || strings.Contains(got, "chown") {
		t.Errorf("root: %q", got)
	}
	if got := ownerRemedy(0, 64, "/home/x/state"); !strings.Contains(got, "chown 64 /home/x/state") {
		t.Errorf("user 64: %q", got)
	}
}
