package durable

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"keypaird/renew/problem"
)

// What the disk or the system refuses is said in one line, with what to do about
// it.
func TestRemedies(t *testing.T) {
	const files = "let this have more files open"
	notOurs := "run this as root"
	if os.Geteuid() == 0 {
		notOurs = "see why root may not write /d: "
	}
	for _, tt := range []struct {
		name       string
		err        error
		text, what string
	}{
		{"full", &WriteError{Path: "/d/f", Err: syscall.ENOSPC}, "writing /d/f: no space left on device", "free some space for /d "},
		{"over quota", &WriteError{Path: "/d/f", Err: syscall.EDQUOT}, "writing /d/f: ", "free some space for /d "},
		{"not ours", &WriteError{Path: "/d/f", Err: syscall.EACCES}, "writing /d/f: permission denied", notOurs},
		{"not there", &WriteError{Path: "/d/f", Err: syscall.ENOTSUP}, "writing /d/f: operation not supported", "choose a directory in place of /d on a file system with"},
		{"larger than is read", &WriteError{Path: "/d/f", Err: ErrTooLarge}, "writing /d/f: too large to be read back", "split the certificate into several"},
		{"read-only", &WriteError{Path: "/d/f", Err: syscall.EROFS}, "writing /d/f: read-only file system", "of /d for writing"},
		{"broken", &WriteError{Path: "/d/f", Err: syscall.EIO}, "writing /d/f: input/output error", "about the disk of /d,"},
		{"broken directory, of a disk of its own", &WriteError{Path: "/d", Done: true, Err: syscall.EIO}, "making /d durable: input/output error", "about the disk of /d,"},
		{"too many files", &WriteError{Path: "/d/f", Err: syscall.EMFILE}, "writing /d/f: too many open files", files},
		{"too many files of everybody", &WriteError{Path: "/d/f", Err: syscall.ENFILE}, "writing /d/f: ", "raise the system's limit"},
		{"unreadable", readError("/d/f", "reading", syscall.EIO), "reading /d/f: input/output error", "about the disk of /d/f,"},
		{"unreadable directory", readError("/d", "listing", syscall.EIO), "listing /d: input/output error", "about the disk of /d,"},
		{"not ours to read", readError("/d/f", "reading", syscall.EACCES), "reading /d/f: permission denied", "run this as root"},
		{"too many files to read one more", readError("/d/f", "reading", syscall.EMFILE), "reading /d/f: too many open files", files},
		{"not there", readError("/d/f", "reading", syscall.ENOENT), "reading /d/f: no such file or directory", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if help := problem.Remedy(tt.err); !strings.Contains(help, tt.what) || (tt.what == "") != (help == "") {
				t.Errorf("remedy of %v: %q, want %q", tt.err, help, tt.what)
			}
			if !strings.HasPrefix(tt.err.Error(), tt.text) || strings.Contains(tt.err.Error(), "\n") {
				t.Errorf("error %q, want %q", tt.err, tt.text)
			}
		})
	}
	if !errors.Is(readError("/d/f", "reading", syscall.ENOENT), fs.ErrNotExist) {
		t.Error("what is not there is not fs.ErrNotExist")
	}
}
