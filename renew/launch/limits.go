package launch

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// maxFiles is how many files a child may have open: it is one client.
const maxFiles = 256

// limits forbids core dumps and bounds the descriptors, for good.
func limits() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("forbidding core dumps: %w", err)
	}
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return fmt.Errorf("reading the limit of open files: %w", err)
	}
	files.Cur, files.Max = min(files.Cur, maxFiles), min(files.Max, maxFiles)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return fmt.Errorf("limiting open files: %w", err)
	}
	return nil
}
