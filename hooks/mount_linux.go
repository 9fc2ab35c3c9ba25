package hooks

import "golang.org/x/sys/unix"

// mounted reports whether path itself is a mount point, as a file that a container is
// given is. It cannot be replaced then. Linux before 5.8 does not know.
func mounted(path string) bool {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, 0, &st)
	return err == nil && st.Attributes&st.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT != 0
}
