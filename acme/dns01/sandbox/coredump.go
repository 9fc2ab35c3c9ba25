package sandbox

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// NoCoreDumps keeps what the process has in memory out of core dumps, and on
// Linux also from other processes of the same user. The hard limit stays as it
// is: the programs we start may want it back.
func NoCoreDumps() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &limit); err != nil {
		return fmt.Errorf("reading the limit of core dumps: %w", err)
	}
	if limit.Cur != 0 { // a sandbox around us may forbid to set what is set already
		limit.Cur = 0
		if err := unix.Setrlimit(unix.RLIMIT_CORE, &limit); err != nil {
			return fmt.Errorf("forbidding core dumps: %w", err)
		}
	}
	return notDumpable()
}
