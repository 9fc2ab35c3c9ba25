package sockets

import (
	"context"
	"net"
	"net/netip"
	"os"

	"keypaird/renew/rights"
)

// Dial connects to an address.
func Dial(ctx context.Context, d net.Dialer, network, addr string) (net.Conn, error) {
	if err := rights.Drop(); err != nil {
		return nil, err
	}
	return d.DialContext(ctx, network, addr)
}

// Listen opens a socket for connections.
func Listen(ctx context.Context, network, addr string) (net.Listener, error) {
	if err := rights.Drop(); err != nil {
		return nil, err
	}
	return new(net.ListenConfig).Listen(ctx, network, addr)
}

// Inherited returns a copy of a socket for connections that was passed to this process.
func Inherited(f *os.File) (net.Listener, error) {
	if err := rights.Drop(); err != nil {
		return nil, err
	}
	return net.FileListener(f)
}

// Addresses looks up the addresses of a host, as the system does.
func Addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	if err := rights.Drop(); err != nil {
		return nil, err
	}
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}
