package durable

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestReadFile(t *testing.T) {
	for _, tt := range []struct {
		name  string
		setup func(dir string) error
		as    Access
		want  string // part of the error; empty: read
	}{
		{"file", func(d string) error { return os.WriteFile(d+"/x", []byte("1234"), 0o600) }, Owned, ""},
		{"one byte too long", func(d string) error { return os.WriteFile(d+"/x", []byte("12345"), 0o600) }, Any, "/x: is larger than"},
		{"missing", func(string) error { return nil }, Any, "no such file or directory"},
		{"directory", func(d string) error { return os.Mkdir(d+"/x", 0o700) }, Any, "/x: is not a regular file"},
		{"pipe without a writer", func(d string) error { return syscall.Mkfifo(d+"/x", 0o600) }, Any, "/x: is not a regular file"},
		{"link", link, Any, ""},
		{"link where none is followed", link, NoLink, "/x: is not a regular file"},
		{"directory others can write", open777, NoLink, ""},
		{"directory others can write, where it is checked", open777, Owned, "can be written by everyone"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			must(t, tt.setup(dir))
			data, info, err := ReadFile(dir+"/x", 4, tt.as)
			if tt.want == "" && (err != nil || string(data) != "1234" || info.Size() != 4) {
				t.Errorf("ReadFile = %q, %v", data, err)
			}
			if tt.want != "" && (err == nil || data != nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("ReadFile = %q, %v, want %q", data, err, tt.want)
			}
			var unsafe *UnsafeError
			if cause := Cause(err); cause != nil && !errors.As(err, &unsafe) && strings.Contains(cause.Error(), dir) {
				t.Errorf("Cause names the path: %v", cause)
			}
		})
	}
}

func link(d string) error {
	return errors.Join(os.WriteFile(d+"/file", []byte("1234"), 0o600), os.Symlink("file", d+"/x"))
}

func open777(d string) error {
	return errors.Join(os.WriteFile(d+"/x", []byte("1234"), 0o600), os.Chmod(d, 0o777))
}
