package web

import (
	"net"
	"os"
	"syscall"
	"testing"
)

// Peers may reach a host that a time-out or the local network hides from us.
func TestMaybeLocal(t *testing.T) {
	for _, tt := range []struct {
		err  error
		text string
		want bool
	}{
		{os.ErrDeadlineExceeded, "i/o timeout", true},
		{os.NewSyscallError("connect", syscall.ETIMEDOUT), syscall.ETIMEDOUT.Error(), true},
		{os.NewSyscallError("connect", syscall.ENETUNREACH), syscall.ENETUNREACH.Error(), true},
		{os.NewSyscallError("connect", syscall.ECONNREFUSED), syscall.ECONNREFUSED.Error(), false},
	} {
		err := plainError(&net.OpError{Op: "dial", Net: "tcp", Err: tt.err})
		if err.Error() != tt.text || maybeLocal(err) != tt.want {
			t.Errorf("%v: %q, local %v, want %q, %v", tt.err, err, maybeLocal(err), tt.text, tt.want)
		}
	}
}
