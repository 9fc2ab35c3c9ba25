package acl

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

const (
	attribute = "system.posix_acl_access"
	maxSize   = 64 << 10 // Linux keeps no larger attribute
)

// read returns the list of an open file. One that cannot be read has an unknown
// format: its rights are unknown.
func read(h *os.File) List {
	buf := make([]byte, maxSize)
	n, err := unix.Fgetxattr(int(h.Fd()), attribute, buf)
	switch {
	case errors.Is(err, unix.ENODATA) || errors.Is(err, unix.ENOTSUP):
		return nil
	case err != nil:
		return List{}
	}
	return List(buf[:n:n])
}

// Write sets the list a of an open file, and the mode that it shows. Nil removes the
// list that the file inherited from its directory.
func Write(h *os.File, a List) error {
	if a != nil {
		return unix.Fsetxattr(int(h.Fd()), attribute, a, 0)
	}
	err := unix.Fremovexattr(int(h.Fd()), attribute)
	if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	return err
}
