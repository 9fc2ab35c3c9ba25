package expect

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"keypaird/renew/sockets"
)

// Limits of looking up a host.
const (
	maxLookup    = 5 * time.Second
	maxAddresses = 16
)

// An address is one of a host.
type address struct {
	netip.Addr       // zero: the only one, or any
	unreachable bool // there is no way to it from here
}

// EachAddress returns the queries; one to a host with several addresses becomes one to
// each of them.
func EachAddress(ctx context.Context, list []*Query) []*Query {
	hosts := map[string][]address{}
	var all []*Query
	for _, q := range list {
		host := q.Endpoint.Host
		if hosts[host] == nil {
			hosts[host] = addressesOf(ctx, host)
		}
		for _, at := range hosts[host] {
			one := *q
			one.Addr, one.Unreachable = at.Addr, at.unreachable
			all = append(all, &one)
		}
	}
	return all
}

// addressesOf returns the addresses of a host, at least one. A name server that does not
// answer says nothing of the host.
func addressesOf(ctx context.Context, host string) []address {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []address{{unreachable: !routed(addr)}}
	}
	if host == "localhost" || strings.HasSuffix(host, ".localhost") { // a server need not listen at 127.0.0.1 and at ::1
		return []address{{}}
	}
	limited, cancel := context.WithTimeout(ctx, maxLookup)
	defer cancel()
	addrs, err := sockets.Addresses(limited, host)
	if err != nil || len(addrs) == 0 {
		failed, ok := errors.AsType[*net.DNSError](err)
		return []address{{unreachable: ok && !failed.IsNotFound}}
	}
	for i, a := range addrs {
		addrs[i] = a.Unmap()
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	addrs = slices.Compact(addrs)
	if len(addrs) == 1 {
		return []address{{unreachable: !routed(addrs[0])}}
	}
	var list []address
	for _, a := range addrs[:min(len(addrs), maxAddresses)] {
		list = append(list, address{a, !routed(a)})
	}
	return list
}

// routed reports whether this machine has a route to addr. Nothing is sent.
func routed(addr netip.Addr) bool {
	conn, err := sockets.Dial(context.Background(), net.Dialer{}, "udp", netip.AddrPortFrom(addr, 9).String())
	if err == nil {
		conn.Close()
	}
	return err == nil
}
