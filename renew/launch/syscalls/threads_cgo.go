//go:build linux && cgo

package syscalls

import (
	"fmt"
	"os"
)

// Cgo is whether the C library looks up users and names, at unix sockets of its services.
const Cgo = true

// Threads returns why no call can be made on all threads, nil if one can. With cgo, package
// psx finds them in /proc, and kills the process if it cannot.
func Threads() error {
	dir, err := os.Open(fmt.Sprintf("/proc/%d/task", os.Getpid()))
	if err == nil {
		dir.Close()
	}
	return err
}
