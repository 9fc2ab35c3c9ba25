package transport

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"keypaird/renew/netaddr"
	"keypaird/renew/sockets"
)

// A dialer connects to the hosts of one CA. Those that its directory names may be no more
// private than the directory's own, which is configured (see package netaddr).
type dialer struct {
	directory string // URL
	own       string // host:port of the directory
	proxy     func(url string) string

	mu    sync.Mutex
	limit netaddr.Scope // of the directory's host, when it was last connected to
}

func newDialer(directory string) *dialer {
	d := &dialer{directory: directory, proxy: ProxyOf}
	if u, err := url.Parse(directory); err == nil {
		d.own = hostPort(u)
	}
	return d
}

// dial connects to a host, or to the proxy, which is configured, too.
func (d *dialer) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	dial := net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}
	if d.isProxy(host) {
		return sockets.Dial(ctx, dial, network, addr)
	}
	own := hostPort(&url.URL{Host: net.JoinHostPort(host, port)}) == d.own
	limit := netaddr.Loopback
	if !own {
		d.mu.Lock()
		limit = d.limit
		d.mu.Unlock()
	}
	dial.ControlContext = limit.Control
	conn, err := sockets.Dial(ctx, dial, network, addr)
	if err == nil && own {
		if at, err := netip.ParseAddrPort(conn.RemoteAddr().String()); err == nil {
			d.mu.Lock()
			d.limit = netaddr.Of(at.Addr())
			d.mu.Unlock()
		}
	}
	return conn, err
}

// isProxy reports whether a host is the one of the proxy.
func (d *dialer) isProxy(host string) bool {
	proxy := cmp.Or(d.proxy(d.directory), d.proxy("https://any.invalid/")) // the directory may be excepted
	return proxy != "" && (&url.URL{Host: proxy}).Hostname() == host
}
