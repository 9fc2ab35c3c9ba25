package launch

import (
	"fmt"
	"os"
	"syscall"
)

// BecomeOwner makes this process, if it is root, the user that owns a directory, for
// good: what that user may read can be shown to root, and nothing in it is trusted more.
func BecomeOwner(dir string) error {
	info, err := os.Stat(dir)
	if err != nil || os.Geteuid() != 0 {
		return nil // who reads it says what is wrong
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || st.Uid == 0 {
		return nil
	}
	err = syscall.Setgroups(nil)
	if err == nil {
		err = syscall.Setgid(int(st.Gid))
	}
	if err == nil {
		err = syscall.Setuid(int(st.Uid))
	}
	if err != nil {
		return fmt.Errorf("becoming user %d, who owns %s: %w", st.Uid, dir, err)
	}
	return nil
}
