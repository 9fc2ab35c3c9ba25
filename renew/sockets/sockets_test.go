package sockets

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"

	"keypaird/renew/rights"
)

// No socket is opened and no name looked up while the rights of the process cannot be dropped.
func TestDropFirst(t *testing.T) {
	failed := errors.New("failed")
	rights.Keep(func() error { return failed })
	t.Cleanup(func() { rights.Keep(nil) })
	ctx := context.Background()
	for name, use := range map[string]func() error{
		"dial":      func() error { _, err := Dial(ctx, net.Dialer{}, "udp", "127.0.0.1:9"); return err },
		"listen":    func() error { _, err := Listen(ctx, "tcp", "127.0.0.1:0"); return err },
		"inherited": func() error { _, err := Inherited(os.Stdin); return err },
		"addresses": func() error { _, err := Addresses(ctx, "localhost"); return err },
	} {
		if err := use(); err != failed {
			t.Errorf("%s: error %v, want %v", name, err, failed)
		}
	}
}
