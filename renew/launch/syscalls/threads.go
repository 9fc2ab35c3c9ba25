//go:build linux && !cgo

package syscalls

// Cgo is whether the C library looks up users and names, at unix sockets of its services.
const Cgo = false

// Threads returns why no call can be made on all threads: the Go runtime can.
func Threads() error { return nil }
