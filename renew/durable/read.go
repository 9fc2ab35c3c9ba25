package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// An Access says which files [ReadFile] accepts.
type Access int

const (
	Any    Access = iota // symbolic links are followed
	NoLink               // a symbolic link is refused
	Owned                // as NoLink, and the directory has to pass [CheckDir]
)

// ErrNotRegular is in a [BrokenError] for a directory, a pipe, a device, or a
// symbolic link where none is followed.
var ErrNotRegular = errors.New("is not a regular file")

// ReadFile returns the content of a regular file of at most limit bytes, and what
// the file is. It never blocks: a pipe has no end until another process writes
// to it, and opening some devices has effects, so they are not opened. The
// error is a [*BrokenError] or an [*UnsafeError], or wraps what the system said.
func ReadFile(path string, limit int, a Access) ([]byte, fs.FileInfo, error) {
	stat, flags := os.Lstat, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY|syscall.O_NOFOLLOW
	if a == Any {
		stat, flags = os.Stat, flags&^syscall.O_NOFOLLOW
	}
	info, err := stat(path)
	if err != nil {
		return nil, nil, readError(path, "reading", err)
	}
	if a == Owned {
		if err := CheckDir(filepath.Dir(path)); err != nil {
			return nil, nil, checkError(path, err)
		}
	}
	if !info.Mode().IsRegular() {
		return nil, info, &BrokenError{path, ErrNotRegular}
	}
	f, err := os.OpenFile(path, flags, 0)
	if errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.EMLINK) {
		return nil, info, &BrokenError{path, ErrNotRegular}
	}
	if err != nil {
		return nil, info, readError(path, "reading", err)
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil { // it may have been replaced
		return nil, nil, readError(path, "reading", err)
	}
	if !info.Mode().IsRegular() {
		return nil, info, &BrokenError{path, ErrNotRegular}
	}
	data, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err != nil {
		return nil, info, readError(path, "reading", err)
	}
	if len(data) > limit {
		return nil, info, &BrokenError{path, tooLarge(limit)}
	}
	return data, info, nil
}

// checkError is the error of [CheckDir] for the directory of path.
func checkError(path string, err error) error {
	if _, ok := errors.AsType[*UnsafeError](err); ok {
		return err
	}
	return readError(path, "reading", err)
}

func tooLarge(limit int) error { return fmt.Errorf("is larger than %d KiB", limit>>10) }

// Cause returns what the system said, or what is wrong with a file, for callers that
// name the file themselves.
func Cause(err error) error {
	if broken, ok := errors.AsType[*BrokenError](err); ok {
		return broken.Err
	}
	if system, ok := errors.AsType[syscall.Errno](err); ok {
		return system
	}
	return err
}
