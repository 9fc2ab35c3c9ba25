package launch

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

// means returns the mechanism of this system, as the kernel has it.
func means() string {
	const askVersion = 1 // LANDLOCK_CREATE_RULESET_VERSION
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, askVersion)
	if errno != 0 {
		return ""
	}
	return fmt.Sprintf("Landlock, version %d", abi)
}

// closed checks that the memory is closed to other processes, and opens it.
func closed(t *testing.T) {
	t.Helper()
	if dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err != nil || dumpable != 0 {
		t.Errorf("dumpable: %d, %v", dumpable, err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0); err != nil {
		t.Error(err)
	}
}
