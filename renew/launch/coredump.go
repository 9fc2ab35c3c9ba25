package launch

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// NoCoreDumps disables core dumps and, on Linux, access to the process's memory by
// other processes of the same user. The hard limit is unchanged, so that programs
// we start can raise theirs again.
func NoCoreDumps() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &limit); err != nil {
		return fmt.Errorf("reading the limit of core dumps: %w", err)
	}
	if limit.Cur != 0 { // an outer sandbox may deny setting it, even to its current value
		limit.Cur = 0
		if err := unix.Setrlimit(unix.RLIMIT_CORE, &limit); err != nil {
			return fmt.Errorf("forbidding core dumps: %w", err)
		}
	}
	return notDumpable()
}
