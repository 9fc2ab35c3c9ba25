package transport

import (
	"errors"
	"net"
	"testing"

	"keypaird/renew/netaddr"
)

// The hosts that a directory names are no more private than its own.
func TestDial(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	other, private, linkLocal := net.JoinHostPort("127.0.0.2", port), "10.0.0.5:443", "169.254.169.254:443"
	try := func(d *dialer, addr string) error {
		conn, err := d.dial(t.Context(), "tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err
	}
	own := newDialer("https://localhost:" + port + "/dir")
	if err := try(own, other); !errors.Is(err, netaddr.ErrRefused) {
		t.Errorf("before the CA's own address is known: %v", err)
	}
	if err := try(own, "localhost:"+port); err != nil || own.limit != netaddr.Loopback {
		t.Errorf("the CA itself: %v, then %s", err, own.limit)
	}
	if err := try(own, other); errors.Is(err, netaddr.ErrRefused) { // nothing listens there
		t.Errorf("a CA on loopback that names another address there: %v", err)
	}
	if err := try(own, linkLocal); !errors.Is(err, netaddr.ErrRefused) {
		t.Errorf("a CA on loopback that names a link-local one: %v", err)
	}
	public := newDialer("https://ca.example/dir") // a dialer begins as one that has seen a public CA
	for _, addr := range []string{other, "localhost:" + port, private, linkLocal, "[::ffff:10.0.0.5]:443", "[64:ff9b::a00:5]:443"} {
		if err := try(public, addr); !errors.Is(err, netaddr.ErrRefused) {
			t.Errorf("a public CA that names %s: %v", addr, err)
		}
	}
	if err := try(newDialer("https://169.254.169.254/dir"), linkLocal); !errors.Is(err, netaddr.ErrRefused) {
		t.Errorf("a link-local CA: %v", err)
	}
}

// A proxy is configured, wherever it is.
func TestDialProxy(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d := newDialer("https://ca.example/dir")
	d.proxy = func(string) string { return l.Addr().String() }
	conn, err := d.dial(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}
