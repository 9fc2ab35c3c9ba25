package verify

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"keypaird/hooks/discover"
	"keypaird/hooks/probe"
	"keypaird/renew/netaddr"
	"keypaird/renew/testutil"
)

// Records that lead from a public domain to this machine or its network do not make
// keypaird connect there.
func TestEndpointAtPrivateAddress(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	testutil.Must(t, err)
	defer l.Close()
	connected := make(chan struct{}, 9)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			connected <- struct{}{}
			conn.Close()
		}
	}()
	at := netip.MustParseAddrPort(l.Addr().String())
	v := &Verifier{prober: newProber(), now: time.Now()}
	c := &endpoint{
		domain: "example.org", endpoint: probe.Endpoint{Host: "in.example.org", Port: at.Port()}, addrs: []netip.Addr{at.Addr()},
		sni: "in.example.org", limit: netaddr.Public, uses: []discover.Requirement{{Service: "matrix", Enforcement: discover.Must}},
	}
	rows := v.check(t.Context(), c)
	if len(connected) > 0 || rows[0].Result != Unknown || !strings.Contains(rows[0].Error, "127.0.0.1 is a loopback address") || rows[0].Remedy != "if that address is the right one here, confirm it: -resolve in.example.org=127.0.0.1" {
		t.Errorf("connected %d times, %+v", len(connected), rows[0])
	}
	c.limit = netaddr.Loopback
	if rows = v.check(t.Context(), c); len(connected) == 0 {
		t.Errorf("one that is configured: not connected, %+v", rows[0])
	}
}
