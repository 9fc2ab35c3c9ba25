package responder

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"keypaird/renew/sockets"
)

// Listen opens addr: "host:port", ":port" for every address of both families,
// or "fd:NAME" for a socket passed by the service manager. The error is
// syscall.EADDRINUSE if another program has the port, syscall.EACCES if this one may
// not listen on it, and ErrNoSocket if no such socket was passed.
func Listen(ctx context.Context, addr string) ([]net.Listener, error) {
	if name, ok := strings.CutPrefix(addr, "fd:"); ok {
		return inherited(name)
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", addr, err)
	}
	if host != "" {
		l, err := listen(ctx, "tcp", addr)
		if err != nil {
			return nil, err
		}
		return []net.Listener{l}, nil
	}
	// A socket for each family: one for both does not exist on OpenBSD, and
	// on other systems depends on a sysctl.
	var ls []net.Listener
	var none error
	for _, network := range []string{"tcp4", "tcp6"} {
		l, err := listen(ctx, network, net.JoinHostPort("", port))
		if noFamily(err) {
			none = err
			continue
		}
		if err != nil {
			closeAll(ls)
			return nil, err
		}
		_, port, _ = net.SplitHostPort(l.Addr().String()) // the same for both if it was 0
		ls = append(ls, l)
	}
	if len(ls) == 0 {
		return nil, none
	}
	return ls, nil
}

func listen(ctx context.Context, network, addr string) (net.Listener, error) {
	l, err := sockets.Listen(ctx, network, addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("listening on %s: %w", addr, syscall.EADDRINUSE)
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return nil, fmt.Errorf("listening on %s: %w", addr, syscall.EACCES)
	case err != nil:
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err // without the address, which is said already
		}
		return nil, fmt.Errorf("listening on %s: %w", addr, err)
	}
	return l, nil
}

// noFamily reports whether err says that this machine has no addresses of the family.
func noFamily(err error) bool {
	return errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL) ||
		errors.Is(err, syscall.EPROTONOSUPPORT)
}

func closeAll(ls []net.Listener) {
	for _, l := range ls {
		l.Close()
	}
}
