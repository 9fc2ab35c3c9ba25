package launch

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// maxFiles is how many files a child may have open: it is one client.
const maxFiles = 256

// limits forbids core dumps and bounds the descriptors, for good. A filter of the service
// that runs us may deny that: only core dumps must not stay allowed.
func limits() error {
	var files, core unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &files) == nil {
		files.Cur, files.Max = min(files.Cur, maxFiles), min(files.Max, maxFiles)
		_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &files)
	}
	err := unix.Setrlimit(unix.RLIMIT_CORE, &core)
	if err != nil && (unix.Getrlimit(unix.RLIMIT_CORE, &core) != nil || core.Cur != 0) {
		return fmt.Errorf("forbidding core dumps: %w", err)
	}
	return nil
}
