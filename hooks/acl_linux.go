package hooks

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

const (
	aclName = "system.posix_acl_access"
	maxACL  = 64 << 10 // Linux keeps no larger attribute
)

// readACL returns the list of an open file. One that cannot be read is of an
// unknown form: nobody can say what it grants.
func readACL(h *os.File) acl {
	buf := make([]byte, maxACL)
	n, err := unix.Fgetxattr(int(h.Fd()), aclName, buf)
	switch {
	case errors.Is(err, unix.ENODATA) || errors.Is(err, unix.ENOTSUP):
		return nil
	case err != nil:
		return acl{}
	}
	return acl(buf[:n:n])
}

// writeACL gives an open file the list a, and the mode that it shows. Nil takes
// away what the file got from its directory.
func writeACL(h *os.File, a acl) error {
	if a != nil {
		return unix.Fsetxattr(int(h.Fd()), aclName, a, 0)
	}
	err := unix.Fremovexattr(int(h.Fd()), aclName)
	if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	return err
}
