package netaddr

import (
	"errors"
	"net"
	"net/netip"
	"testing"
)

func TestOf(t *testing.T) {
	for scope, list := range map[Scope][]string{
		Public: {
			"1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0", "169.253.255.255", "169.255.0.0",
			"172.15.255.255", "172.32.0.0", "192.167.255.255", "192.169.0.0", "223.255.255.255", "192.0.2.1", "2606:4700::1", "2001:db8::1",
			"::ffff:1.1.1.1", "64:ff9b::1.1.1.1", "2002:101:101::1", "2001:0:101:101::fefe:fefe", "fbff::1", "fe00::1", "::1.1.1.1",
		},
		Private: {
			"10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255", "192.168.0.0", "192.168.255.255", "100.64.0.0", "100.127.255.255", "100.100.100.200",
			"192.0.0.192", "198.18.0.1", "198.19.255.255", "fc00::", "fd00:ec2::254", "fdff:ffff::1", "fec0::1", "64:ff9b:1::1.1.1.1",
			"::ffff:10.0.0.1", "::ffff:a00:1", "64:ff9b::10.0.0.1", "64:ff9b::192.168.1.1", "2002:a00:1::1", "2002:c0a8:101::", "::10.0.0.1",
			"2001:0:a00:1::fefe:fefe", "2001:0:101:101::f5ff:fffe", "2001:db8::5efe:10.0.0.1", "2001:db8::200:5efe:10.0.0.1",
		},
		Loopback: {
			"127.0.0.0", "127.0.0.1", "127.255.255.255", "::1", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1", "2002:7f00:1::1", "::127.0.0.1", "64:ff9b:1::127.0.0.1",
		},
		Never: {
			"0.0.0.0", "0.1.2.3", "169.254.0.0", "169.254.169.254", "169.254.255.255", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
			"::", "fe80::1", "fe80::1%eth0", "febf::1", "ff02::1", "ff0e::1", "::ffff:169.254.169.254", "::ffff:0.0.0.0", "64:ff9b::169.254.169.254",
			"2002:a9fe:a9fe::1", "::169.254.169.254", "::ffff:224.0.0.1", "2001:0:a9fe:a9fe::1", "64:ff9b:1::169.254.169.254", "fe80::5efe:1.1.1.1",
		},
	} {
		for _, text := range list {
			if got := Of(netip.MustParseAddr(text)); got != scope {
				t.Errorf("%s: %s, want %s", text, got, scope)
			}
		}
	}
	if got := Of(netip.Addr{}); got != Never {
		t.Errorf("no address: %s", got)
	}
}

func TestLimit(t *testing.T) {
	addrs := map[Scope]netip.Addr{}
	for scope, text := range map[Scope]string{Public: "1.1.1.1", Private: "10.0.0.1", Loopback: "127.0.0.1", Never: "169.254.169.254"} {
		addrs[scope] = netip.MustParseAddr(text)
	}
	for _, tt := range []struct {
		of    []Scope
		limit Scope
	}{
		{nil, Loopback},
		{[]Scope{Public}, Public},
		{[]Scope{Private, Public}, Private},
		{[]Scope{Loopback, Private}, Loopback},
		{[]Scope{Loopback}, Loopback},
		{[]Scope{Never}, Public},
	} {
		var list []netip.Addr
		for _, s := range tt.of {
			list = append(list, addrs[s])
		}
		limit := Limit(list)
		if limit != tt.limit {
			t.Errorf("%v: limit %s, want %s", tt.of, limit, tt.limit)
		}
		for scope, a := range addrs {
			err := limit.Check(a)
			if want := scope <= tt.limit; (err == nil) != want || err != nil && !errors.Is(err, ErrRefused) {
				t.Errorf("limit %s: %s: %v, allowed %v", limit, a, err, want)
			}
		}
	}
}

// The address is judged that is connected to, whatever the name had before.
func TestControl(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	for limit, allowed := range map[Scope]bool{Loopback: true, Private: false, Public: false} {
		d := net.Dialer{ControlContext: limit.Control}
		for _, host := range []string{"127.0.0.1", "localhost", "::ffff:127.0.0.1"} {
			conn, err := d.DialContext(t.Context(), "tcp4", net.JoinHostPort(host, port))
			if err == nil {
				conn.Close()
			}
			if (err == nil) != allowed || err != nil && !errors.Is(err, ErrRefused) {
				t.Errorf("limit %s, %s: %v, allowed %v", limit, host, err, allowed)
			}
		}
	}
}
