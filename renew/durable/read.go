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
// error is a [*ReadError], a [*BrokenError] or an [*UnsafeError].
func ReadFile(path string, limit int, a Access) ([]byte, fs.FileInfo, error) {
	stat, flags := os.Lstat, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY|syscall.O_NOFOLLOW
	if a == Any {
		stat, flags = os.Stat, flags&^syscall.O_NOFOLLOW
	}
	if a == Owned {
		if err := CheckDir(filepath.Dir(path)); err != nil {
			return nil, nil, readError(path, err)
		}
	}
	info, err := stat(path)
	if err != nil {
		return nil, nil, readError(path, err)
	}
	if !info.Mode().IsRegular() {
		return nil, info, &BrokenError{path, ErrNotRegular}
	}
	f, err := os.OpenFile(path, flags, 0)
	if errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.EMLINK) {
		return nil, info, &BrokenError{path, ErrNotRegular}
	}
	if err != nil {
		return nil, info, readError(path, err)
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil { // it may have been replaced
		return nil, nil, readError(path, err)
	}
	if !info.Mode().IsRegular() {
		return nil, info, &BrokenError{path, ErrNotRegular}
	}
	data, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err != nil {
		return nil, info, readError(path, err)
	}
	if len(data) > limit {
		return nil, info, &BrokenError{path, tooLarge(limit)}
	}
	return data, info, nil
}

func tooLarge(limit int) error { return fmt.Errorf("is larger than %d KiB", limit>>10) }

// readError is a ReadError, unless err says more.
func readError(path string, err error) error {
	if unsafe, ok := errors.AsType[*UnsafeError](err); ok {
		return unsafe
	}
	return &ReadError{Path: path, Err: cause(err)}
}

// Cause strips the operation and the path off an error, for callers that name
// the file themselves.
func Cause(err error) error {
	if read, ok := errors.AsType[*ReadError](err); ok {
		return read.Err
	}
	if broken, ok := errors.AsType[*BrokenError](err); ok {
		return broken.Err
	}
	return cause(err)
}
