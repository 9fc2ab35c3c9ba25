package launch

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// notDumpable applies to all threads, since they share the memory.
func notDumpable() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("closing the memory to other processes: %w", err)
	}
	return nil
}
