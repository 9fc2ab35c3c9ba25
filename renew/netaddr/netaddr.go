package netaddr

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"syscall"
)

// A Scope is the range that an address belongs to, as in the package's documentation. As a
// limit, it allows what is no more private.
type Scope int

// Scopes.
const (
	Public Scope = iota
	Private
	Loopback
	Never
)

// ErrRefused is in the error for an address that a limit does not allow.
var ErrRefused = errors.New("not connected to")

func (s Scope) String() string { return [...]string{"public", "private", "loopback", "reserved"}[s] }

var scopes = []struct {
	Scope
	prefixes []netip.Prefix
}{
	{Private, prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "192.0.0.0/24", "198.18.0.0/15", "fc00::/7", "fec0::/10", "64:ff9b:1::/48")},
	{Loopback, prefixes("127.0.0.0/8", "::1/128")},
	{Never, prefixes("0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4", "::/128", "fe80::/10", "ff00::/8")},
}

func prefixes(texts ...string) (list []netip.Prefix) {
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

// Of returns the scope of an address.
func Of(a netip.Addr) Scope {
	a = a.Unmap().WithZone("")
	if !a.IsValid() {
		return Never
	}
	scope := Public
	for _, s := range scopes {
		for _, p := range s.prefixes {
			if p.Contains(a) {
				scope = s.Scope
			}
		}
	}
	for _, inner := range embedded(a) {
		scope = max(scope, Of(inner))
	}
	return scope
}

var (
	compatible = netip.MustParsePrefix("::/96")
	nat64      = netip.MustParsePrefix("64:ff9b::/96")
	localNAT64 = netip.MustParsePrefix("64:ff9b:1::/48")
	sixToFour  = netip.MustParsePrefix("2002::/16")
	teredo     = netip.MustParsePrefix("2001::/32")
)

// embedded returns the IPv4 addresses for which an IPv6 address stands.
func embedded(a netip.Addr) []netip.Addr {
	if !a.Is6() || a == netip.IPv6Unspecified() || a == netip.IPv6Loopback() {
		return nil
	}
	b := a.As16()
	last := netip.AddrFrom4([4]byte(b[12:]))
	switch {
	case compatible.Contains(a), nat64.Contains(a), localNAT64.Contains(a), b[8]&^2 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe:
		return []netip.Addr{last}
	case sixToFour.Contains(a):
		return []netip.Addr{netip.AddrFrom4([4]byte(b[2:6]))}
	case teredo.Contains(a): // its server, and its client with all bits inverted
		return []netip.Addr{netip.AddrFrom4([4]byte(b[4:8])), netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]})}
	}
	return nil
}

// Limit returns the limit for what follows from a host with these addresses: the scope of
// the most private one, since behind a router with a resolver of its own a host may have
// one of each. Without an address there is no limit but Never.
func Limit(addrs []netip.Addr) Scope {
	if len(addrs) == 0 {
		return Loopback
	}
	limit := Public
	for _, a := range addrs {
		if is := Of(a); is != Never {
			limit = max(limit, is)
		}
	}
	return limit
}

// Check returns an error if the limit does not allow an address.
func (s Scope) Check(a netip.Addr) error {
	switch is := Of(a); {
	case is == Never:
		return fmt.Errorf("%w: %s is link-local, multicast or reserved", ErrRefused, a)
	case is > s:
		return fmt.Errorf("%w: %s is a %s address, and a %s one leads there", ErrRefused, a, is, s)
	}
	return nil
}

// Control is the ControlContext of a net.Dialer that obeys the limit.
func (s Scope) Control(_ context.Context, _, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return s.Check(at.Addr())
}
