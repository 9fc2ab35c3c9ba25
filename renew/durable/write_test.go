package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestWriteFile(t *testing.T) {
	plain := FileMode{Perm: 0o644, UID: -1, GID: -1}
	long := strings.Repeat("n", 255)
	for _, tt := range []struct {
		name  string
		file  string
		setup func(dir string) error
		mode  FileMode
		want  string // part of the error; empty: written
		left  []string
	}{
		{"new file", "x.pem", nil, plain, "", []string{"x.pem"}},
		{"key for a group", "x.pem", nil, FileMode{0o640, -1, os.Getegid()}, "", []string{"x.pem"}},
		{"over a longer file of another mode", "x.pem", func(d string) error { return os.WriteFile(d+"/x.pem", make([]byte, 9000), 0o600) }, plain, "", []string{"x.pem"}},
		{"over a link", "x.pem", func(d string) error { return os.Symlink("victim", d+"/x.pem") }, plain, "", []string{"x.pem"}},
		{"over a pipe", "x.pem", func(d string) error { return syscall.Mkfifo(d+"/x.pem", 0o600) }, plain, "", []string{"x.pem"}},
		{"after a kill", "x.pem", func(d string) error {
			return errors.Join(
				os.WriteFile(d+"/.x.pem.0123456789abcdef.tmp", nil, 0o600),
				os.WriteFile(d+"/.x.pem.old.tmp", nil, 0o600),
				os.WriteFile(d+"/.y.pem.0123456789abcdef.tmp", nil, 0o600),
				os.WriteFile(d+"/.x.pem.0123456789abcdef.0123456789abcdef.tmp", nil, 0o600))
		}, plain, "", []string{".x.pem.0123456789abcdef.0123456789abcdef.tmp", ".x.pem.old.tmp", ".y.pem.0123456789abcdef.tmp", "x.pem"}},
		{"name as long as can be", long, nil, plain, "", []string{long}},
		{"a directory is there", "x.pem", func(d string) error { return os.Mkdir(d+"/x.pem", 0o700) }, plain, "writing DIR/x.pem: file exists", []string{"x.pem"}},
		{"no such directory", "no/x.pem", nil, plain, "no such file", nil},
		{"mode forgotten", "x.pem", nil, FileMode{UID: -1, GID: -1}, "is not one for a file", nil},
		{"setuid", "x.pem", nil, FileMode{fs.ModeSetuid | 0o755, -1, -1}, "is not one for a file", nil},
		{"a directory is named", "x/", nil, plain, "not the name of a file", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if tt.setup != nil {
				must(t, tt.setup(dir))
			}
			err := WriteFile(dir+"/"+tt.file, []byte("new"), tt.mode)
			if got := entries(t, dir); !slices.Equal(got, tt.left) && len(got)+len(tt.left) > 0 {
				t.Errorf("directory holds %q, want %q", got, tt.left)
			}
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), strings.ReplaceAll(tt.want, "DIR", dir)) {
					t.Errorf("WriteFile: %v, want %q", err, tt.want)
				}
				return
			}
			must(t, err)
			info, err := os.Lstat(filepath.Join(dir, tt.file))
			must(t, err)
			if info.Mode() != tt.mode.Perm {
				t.Errorf("mode %v, want %v", info.Mode(), tt.mode.Perm)
			}
			if got, err := os.ReadFile(filepath.Join(dir, tt.file)); err != nil || string(got) != "new" {
				t.Errorf("content %q, %v", got, err)
			}
		})
	}
}

func TestWriteFileOwner(t *testing.T) {
	dir := t.TempDir()
	damage(t, dir+"/x.pem", []byte("old"))
	err := WriteFile(dir+"/x.pem", []byte("new"), FileMode{0o640, 12345, 54321})
	if os.Geteuid() != 0 {
		var failed *WriteError
		if !errors.As(err, &failed) || failed.Path != dir+"/x.pem" || !strings.Contains(failed.Remedy(), "let the user") {
			t.Errorf("giving a file away as an ordinary user: %v", err)
		}
		if got, _ := os.ReadFile(dir + "/x.pem"); string(got) != "old" || len(entries(t, dir)) != 1 {
			t.Errorf("the old file was touched: %q, %q", got, entries(t, dir))
		}
		return
	}
	must(t, err)
	info, err := os.Lstat(dir + "/x.pem")
	must(t, err)
	if st := info.Sys().(*syscall.Stat_t); st.Uid != 12345 || st.Gid != 54321 || info.Mode() != 0o640 {
		t.Errorf("owner %d:%d, mode %v", st.Uid, st.Gid, info.Mode())
	}
}
