package launch

import (
	"cmp"
	"fmt"

	"golang.org/x/sys/unix"
)

// Bounds of a child.
const (
	maxFiles = 256      // that it has open, by default: it is one client
	maxSize  = 16 << 20 // bytes of a file that it keeps
	maxData  = 1 << 30  // bytes of memory; keypaird-dns with all providers has 140 MB, most of it never touched
)

// limits forbids core dumps, and bounds descriptors, memory and files, for good. A filter
// of the service that runs us may deny that: only core dumps must not stay allowed. How
// many processes and threads a user has is not bounded here: accounts may share it.
func (s *stage) limits() error {
	bound(unix.RLIMIT_NOFILE, cmp.Or(s.MaxFiles, maxFiles))
	if s.Free == "" && countsData {
		bound(unix.RLIMIT_DATA, maxData)
	}
	if s.Free == "" && len(s.Write) > 0 {
		bound(unix.RLIMIT_FSIZE, maxSize)
	}
	var core unix.Rlimit
	err := unix.Setrlimit(unix.RLIMIT_CORE, &core)
	if err != nil && (unix.Getrlimit(unix.RLIMIT_CORE, &core) != nil || core.Cur != 0) {
		return fmt.Errorf("forbidding core dumps: %w", err)
	}
	return nil
}

// bound lowers a limit that is higher.
func bound(resource int, most uint64) {
	var l unix.Rlimit
	if unix.Getrlimit(resource, &l) == nil {
		lower(&l.Cur, most)
		lower(&l.Max, most)
		_ = unix.Setrlimit(resource, &l)
	}
}

// lower lowers a number: systems differ in its type.
func lower[T int64 | uint64](n *T, most uint64) {
	if uint64(*n) > most {
		*n = T(most)
	}
}
