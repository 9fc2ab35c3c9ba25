package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"keypaird/renew/keypair"
)

// maxSmall bounds the files that the configuration names: secrets, roots.
const maxSmall = 1 << 20

var (
	errDirectory  = errors.New("is a directory, not a file")
	errNotRegular = errors.New("is not a regular file")
	errTooLong    = errors.New("is too long")
)

// readFile reads a regular file of at most limit bytes. It waits for nobody: a
// pipe has no end until somebody writes to it.
func readFile(path string, limit int64) ([]byte, fs.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, plain(err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, nil, plain(err)
	case info.IsDir():
		return nil, nil, errDirectory
	case !info.Mode().IsRegular():
		return nil, nil, errNotRegular
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, nil, plain(err)
	}
	if int64(len(data)) > limit {
		return nil, nil, fmt.Errorf("%w: more than %d MiB", errTooLong, limit>>20)
	}
	return data, info, nil
}

// ReadFile reads a regular file of at most 1 MiB.
func ReadFile(path string) ([]byte, error) {
	data, _, err := readFile(path, maxSmall)
	return data, err
}

// plain takes operation and path off an error that is printed beside the path.
func plain(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// ours reports whether a file belongs to root or to whoever we are.
func ours(info fs.FileInfo) (uid int, ok bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return -1, false
	}
	return int(st.Uid), st.Uid == 0 || int(st.Uid) == os.Geteuid()
}

// trusted refuses a configuration that others can change: it names commands
// that are run and files that are written. info is of the file that was read.
func trusted(path string, info fs.FileInfo) error {
	if uid, ok := ours(info); !ok {
		return &FileError{path, fmt.Sprintf("belongs to user %d, neither root nor the user who runs this (%d)", uid, os.Geteuid()), fmt.Sprintf("run this as user %d, or: chown %d %s", uid, os.Geteuid(), path)}
	}
	if perm := info.Mode().Perm(); perm&0o022 != 0 {
		return &FileError{path, fmt.Sprintf("can be written by others (mode %04o)", perm), "chmod go-w " + path}
	}
	at := path
	for range 40 { // symbolic links
		if err := safeDir(filepath.Dir(at)); err != nil {
			return fmt.Errorf("%s: %w", Printable(path, maxMessage), err)
		}
		link, err := os.Lstat(at)
		if err != nil {
			return unreadable(path, err)
		}
		if link.Mode().Type() != fs.ModeSymlink {
			return nil
		}
		if uid, ok := ours(link); !ok {
			return &FileError{path, fmt.Sprintf("is a symbolic link of user %d", uid), "name the file itself with -config or $" + PathVariable}
		}
		to, err := os.Readlink(at)
		if err != nil {
			return unreadable(path, err)
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(at), to)
		}
		at = to
	}
	return unreadable(path, syscall.ELOOP)
}

// safeDir refuses a directory in which others could replace a file of ours. In
// /tmp and its like they cannot.
func safeDir(dir string) error {
	err := keypair.CheckDir(dir)
	var unsafe *keypair.UnsafeError
	if !errors.As(err, &unsafe) {
		return err
	}
	info, serr := os.Stat(dir)
	found, lerr := os.Lstat(unsafe.Path)
	if serr != nil || lerr != nil || !os.SameFile(info, found) || info.Mode()&fs.ModeSticky == 0 {
		return err
	}
	if _, ok := ours(info); !ok {
		return err
	}
	return nil
}
