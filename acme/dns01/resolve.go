package dns01

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"keypaird/acme/dns01/dnsquery"

	"github.com/miekg/dns"
)

// query asks one server.
func (c Checker) query(ctx context.Context, name string, qtype uint16, addr string, recurse bool) (*dns.Msg, error) {
	release, err := c.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	return dnsquery.Query{Server: addr, Name: name, Type: qtype, Recurse: recurse, Timeout: c.Timeout}.Do(ctx)
}

// acquire waits for one of the call's slots.
func (c Checker) acquire(ctx context.Context) (release func(), err error) {
	if c.slots == nil {
		return func() {}, nil
	}
	select {
	case c.slots <- struct{}{}:
		return func() { <-c.slots }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// system returns the resolvers for everything except the record itself.
func (c Checker) system() []string {
	if len(c.Resolvers) > 0 {
		return c.Resolvers
	}
	if len(c.System) > 0 {
		return c.System
	}
	return dnsquery.SystemResolvers(cmp.Or(c.ResolvConf, "/etc/resolv.conf"))
}

// resolve returns the first conclusive answer of the resolvers.
func (c Checker) resolve(ctx context.Context, name string, qtype uint16) (*dns.Msg, error) {
	release, err := c.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	in, _, err := dnsquery.Query{Name: name, Type: qtype, Timeout: c.Timeout}.Resolve(ctx, c.system())
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("looking up %s of %s: %w", dns.TypeToString[qtype], name, err)
	}
	return in, err
}

// servers returns the servers to query for fqdn, and the name to query, which differs
// if fqdn is a CNAME and follow is set. It retries until ctx ends.
func (c Checker) servers(ctx context.Context, fqdn string, follow bool, begun time.Time) (name string, servers []server, err error) {
	if len(c.Resolvers) > 0 {
		for _, r := range c.Resolvers {
			servers = append(servers, server{r, []string{r}})
		}
		return fqdn, servers, nil
	}
	for {
		name, servers, err = c.authorities(ctx, fqdn, follow)
		if err == nil || ctx.Err() != nil {
			return name, servers, err
		}
		select {
		case <-time.After(pace(time.Since(begun), 0)):
		case <-ctx.Done():
			return name, servers, err
		}
	}
}

func (c Checker) authorities(ctx context.Context, fqdn string, follow bool) (string, []server, error) {
	name, zone, err := c.zone(ctx, fqdn, follow)
	if err != nil {
		return name, nil, err
	}
	in, err := c.resolve(ctx, zone, dns.TypeNS)
	if err != nil {
		return name, nil, err
	}
	var servers []server
	for _, rr := range in.Answer {
		if ns, ok := rr.(*dns.NS); ok && len(servers) < maxServers {
			servers = append(servers, server{name: strings.ToLower(ns.Ns)})
		}
	}
	if len(servers) == 0 {
		return name, nil, fmt.Errorf("zone %s has no name servers", zone)
	}
	var wg sync.WaitGroup
	for i := range servers {
		wg.Go(func() { servers[i].addrs = c.addrsOf(ctx, servers[i].name) })
	}
	wg.Wait()
	if !slices.ContainsFunc(servers, func(s server) bool { return len(s.addrs) > 0 }) {
		return name, nil, fmt.Errorf("none of the name servers of zone %s has an address", zone)
	}
	return name, servers, nil
}

func (c Checker) addrsOf(ctx context.Context, host string) (addrs []string) {
	port := c.Port
	if port == "" {
		port = "53"
	}
	found, _ := c.Addresses(ctx, host)
	for _, a := range someOf(found) {
		addrs = append(addrs, net.JoinHostPort(a.String(), port))
	}
	return addrs
}

// someOf returns up to maxAddrs addresses, of both families if possible.
func someOf(found []netip.Addr) []netip.Addr {
	if len(found) <= maxAddrs {
		return found
	}
	var some, rest []netip.Addr
	var count [2]int
	for _, a := range found {
		family := 0
		if a.Is6() {
			family = 1
		}
		if count[family]++; count[family] <= maxAddrs/2 {
			some = append(some, a)
		} else {
			rest = append(rest, a)
		}
	}
	return append(some, rest[:maxAddrs-len(some)]...)
}

var errNoZone = errors.New("no zone found, up to the root")

// zone finds the zone a name is in, with follow that at the end of its CNAMEs.
func (c Checker) zone(ctx context.Context, fqdn string, follow bool) (name, zone string, err error) {
	const hops = 16
	name = fqdn
	for range hops {
		alias := ""
		for i, end := 0, false; !end; i, end = dns.NextLabel(name, i) {
			in, err := c.resolve(ctx, name[i:], dns.TypeSOA)
			if err != nil {
				return name, "", err
			}
			if alias = dnsquery.Target(in, name[i:]); alias != "" && i == 0 && follow {
				break
			}
			if zone := soaOwner(in, name[i:]); zone != "" && alias == "" {
				return name, zone, nil
			}
			alias = ""
		}
		if alias == "" {
			return name, "", fmt.Errorf("%s: %w", name, errNoZone)
		}
		name = alias
	}
	return name, "", fmt.Errorf("more than %d CNAMEs from %s", hops, fqdn)
}

// soaOwner returns the zone of name: the owner of the SOA record in the answer or, if
// name has none, in the authority section (RFC 2308, section 2).
func soaOwner(in *dns.Msg, name string) string {
	for _, rr := range slices.Concat(in.Answer, in.Ns) {
		if soa, ok := rr.(*dns.SOA); ok && dns.IsSubDomain(soa.Hdr.Name, name) {
			return soa.Hdr.Name
		}
	}
	return ""
}

// Addresses returns the A and AAAA records of a name from Resolvers, System or the
// resolvers of resolv.conf. It ignores the hosts file, which a CA does not know. A
// name without addresses is an error.
func (c Checker) Addresses(ctx context.Context, name string) ([]netip.Addr, error) {
	c = c.bounded()
	name = dns.Fqdn(name)
	var found [2][]netip.Addr
	var errs [2]error
	var wg sync.WaitGroup
	for i, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
		wg.Go(func() { found[i], errs[i] = c.addresses(ctx, name, qtype) })
	}
	wg.Wait()
	all := slices.Concat(found[0], found[1])
	if len(all) > 0 {
		return all, nil
	}
	if err := cmp.Or(errs[0], errs[1]); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("%s has no address (asked: %s)", name, strings.Join(c.system(), ", "))
}

func (c Checker) addresses(ctx context.Context, name string, qtype uint16) (list []netip.Addr, err error) {
	in, err := c.resolve(ctx, name, qtype)
	if err != nil {
		return nil, err
	}
	for _, rr := range in.Answer {
		var ip net.IP
		switch rr := rr.(type) {
		case *dns.A:
			ip = rr.A
		case *dns.AAAA:
			ip = rr.AAAA
		}
		if addr, ok := netip.AddrFromSlice(ip); ok {
			list = append(list, addr.Unmap())
		}
	}
	return list, nil
}
