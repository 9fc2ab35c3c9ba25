package launch

import (
	"cmp"
	"fmt"

	"golang.org/x/sys/unix"
)

// maxFiles is how many files a child may have open by default: it is one client.
const maxFiles = 256

// limits forbids core dumps and bounds the descriptors, for good. A filter of the service
// that runs us may deny that: only core dumps must not stay allowed.
func (s *stage) limits() error {
	var files, core unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &files) == nil {
		most := cmp.Or(s.MaxFiles, maxFiles)
		files.Cur, files.Max = min(files.Max, most), min(files.Max, most)
		_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &files)
	}
	err := unix.Setrlimit(unix.RLIMIT_CORE, &core)
	if err != nil && (unix.Getrlimit(unix.RLIMIT_CORE, &core) != nil || core.Cur != 0) {
		return fmt.Errorf("forbidding core dumps: %w", err)
	}
	return nil
}
