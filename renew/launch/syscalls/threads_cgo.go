//go:build linux && cgo

package syscalls

import (
	"fmt"
	"os"
)

// Threads returns why no call can be made on all threads, nil if one can. With cgo, package
// psx finds them in /proc, and kills the process if it cannot.
func Threads() error {
	dir, err := os.Open(fmt.Sprintf("/proc/%d/task", os.Getpid()))
	if err == nil {
		dir.Close()
	}
	return err
}
