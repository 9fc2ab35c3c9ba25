package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"
)

// IsUnsupported reports whether err says that a file system lacks something: symbolic
// links, locks, fsync, or permissions.
func IsUnsupported(err error) bool {
	for _, errno := range []error{syscall.ENOTSUP, syscall.EOPNOTSUPP, syscall.ENOSYS, syscall.EINVAL, syscall.ENOLCK} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// Try tries in d what keypaird does in its state directory, and leaves nothing behind.
// Its error is about state, which d is in, or which is to be made below d; IsUnsupported
// says whether the file system is at fault.
func (d *Dir) Try(state string) error {
	name := TempName("try")
	if _, err := d.Mkdir(name); err != nil {
		return err
	}
	defer d.RemoveAll(name)
	made, err := d.Sub(name)
	if err != nil {
		return err
	}
	defer made.Close()
	lock, err := TryLock(made.At("lock"))
	if failed, ok := errors.AsType[*WriteError](err); ok {
		failed.Path = filepath.Join(state, "lock")
	}
	if err != nil {
		return err
	}
	lock.Release()
	return made.As(state).tryFiles()
}

// tryFiles tries files and links. This process has all rights in d, so what it is not
// permitted the file system does not have.
func (d *Dir) tryFiles() error {
	err := d.ReplaceHint("file", []byte("x"), Private) // Publish syncs the directory
	var info fs.FileInfo
	if err == nil {
		info, err = d.Lstat("file")
	}
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		err = d.Failed("file", fmt.Errorf("others may read it: %w", syscall.EPERM))
	}
	for _, link := range []string{"link", "other"} {
		if err == nil {
			err = d.Symlink("file", link)
		}
	}
	if err == nil {
		err = d.Publish("other", "link")
	}
	if failed, ok := errors.AsType[*WriteError](err); ok {
		failed.Err = notThere(failed.Err)
	}
	return err
}

// notThere turns "not permitted" into an error of a file system that lacks something.
func notThere(err error) error {
	if errors.Is(err, syscall.EPERM) {
		return fmt.Errorf("%v (%w)", err, syscall.ENOTSUP)
	}
	return err
}

// fitting is the remedy for a file system that lacks something.
func fitting(dir string) string {
	return "choose a directory in place of " + dir + " on a file system with symbolic links, locks, fsync and permissions: FAT, exFAT and some shares lack some"
}
