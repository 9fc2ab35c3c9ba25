//go:build linux && (amd64 || arm64)

package durable

import (
	"os"
	"syscall"
)

// startWriteback has the kernel begin to write a file, without waiting for it: then
// several files that are synced one after the other are waited for together. It
// makes nothing durable, so its error does not matter.
func startWriteback(file *os.File) {
	const write = 2 // SYNC_FILE_RANGE_WRITE
	if conn, err := file.SyscallConn(); err == nil {
		_ = conn.Control(func(fd uintptr) { _ = syscall.SyncFileRange(int(fd), 0, 0, write) })
	}
}
