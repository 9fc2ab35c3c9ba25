package confine

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// confine uses unveil(2) and pledge(2). With the promise "error" a forbidden call fails.
func (r *Rights) confine() error {
	_ = unix.Unveil("/", "r")
	_ = unix.Unveil("/dev/null", "rw")
	_ = unix.Unveil(os.TempDir(), "rwc") // the output of commands
	for _, dir := range append(r.Write, r.Connect...) {
		_ = unix.Unveil(dir, "rwc") // what cannot be unveiled cannot be changed
	}
	if err := unix.UnveilBlock(); err != nil {
		return fmt.Errorf("unveil: %w", err)
	}
	// There are no execpromises: the process runs no programs.
	const promises = "stdio rpath wpath cpath fattr chown flock inet unix dns getpw sendfd tty route error"
	if err := unix.PledgePromises(promises); err != nil {
		return fmt.Errorf("pledge %q: %w", promises, err)
	}
	return nil
}
