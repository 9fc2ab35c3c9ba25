package web

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"keypaird/hooks/discover/records"
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

// A server with a TLS that this program does not speak may serve others.
func TestUnsupported(t *testing.T) {
	at := netip.MustParseAddr("192.0.2.1")
	resolver := records.NewResolver([]string{"192.0.2.53"}, map[string][]netip.Addr{"example.org": {at}}, time.Second, slog.New(slog.DiscardHandler))
	for alert, want := range map[byte]records.State{70: records.Undetermined, 112: records.Absent} { // protocol_version, unrecognized_name
		dial := func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			go func() {
				far.Read(make([]byte, 16<<10))
				far.Write([]byte{21, 3, 3, 0, 2, 2, alert})
				far.Close()
			}()
			return near, nil
		}
		f := NewFetcher(resolver, nil, time.Minute, dial, slog.New(slog.DiscardHandler))
		d := f.Document(t.Context(), "example.org", "/x", false, 100, IfOK(func([]byte) (string, any, error) { return "", nil, nil }))
		if d.State != want {
			t.Errorf("alert %d: %s, %s, want %s", alert, d.State, d.Why, want)
		}
	}
}
