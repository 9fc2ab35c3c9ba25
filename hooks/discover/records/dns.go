package records

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"keypaird/acme/dns01/dnsquery"
)

// Bounds on what DNS may make us do.
const (
	MaxQuestions = 600 // in one Discover
	maxAliases   = 8   // of one name
	MaxRecords   = 32  // of one set that are looked at
	MaxAddrs     = 16  // of one host
)

// ServerAddrs returns the servers with their ports; none: those of resolv.conf.
func ServerAddrs(list []string) []string {
	if len(list) == 0 {
		return dnsquery.SystemResolvers("/etc/resolv.conf")
	}
	whole := make([]string, 0, len(list))
	for _, s := range list {
		if _, _, err := net.SplitHostPort(s); err != nil {
			s = net.JoinHostPort(strings.Trim(s, "[]"), "53")
		}
		whole = append(whole, s)
	}
	return whole
}

// A Resolver asks DNS servers, each question once, and keeps the replies. Its
// bounds are those of one discovery.
type Resolver struct {
	servers []string
	given   map[string][]netip.Addr
	timeout time.Duration // of one try at one server
	log     *slog.Logger
	slots   chan struct{} // questions under way

	mu      sync.Mutex
	asked   int
	replies map[question]*onceReply
}

// NewResolver returns a Resolver that asks the servers, or those of
// /etc/resolv.conf if there are none. The names given are at those addresses
// whatever DNS says.
func NewResolver(servers []string, given map[string][]netip.Addr, timeout time.Duration, log *slog.Logger) *Resolver {
	r := &Resolver{
		servers: ServerAddrs(servers), given: map[string][]netip.Addr{}, timeout: timeout, log: log,
		slots: make(chan struct{}, 16), replies: map[question]*onceReply{},
	}
	for name, addrs := range given {
		r.given[Canonical(name)] = addrs
	}
	return r
}

// Servers returns the servers that are asked, in order.
func (r *Resolver) Servers() []string { return r.servers }

// Given reports whether the addresses of a host do not come from DNS.
func (r *Resolver) Given(host string) bool {
	_, ok := r.given[host]
	return ok
}

// SupposeSRV returns a Resolver with the same replies, but for SRV records of
// the names, which lead to one host.
func (r *Resolver) SupposeSRV(names []string, host string, port uint16) *Resolver {
	r.mu.Lock()
	defer r.mu.Unlock()
	after := &Resolver{servers: r.servers, given: r.given, timeout: r.timeout, log: r.log, slots: r.slots, replies: maps.Clone(r.replies)}
	for _, name := range names {
		srv := &dns.SRV{Hdr: dns.RR_Header{Name: dns.Fqdn(name), Rrtype: dns.TypeSRV, Class: dns.ClassINET}, Priority: 10, Port: port, Target: dns.Fqdn(host)}
		done := make(chan struct{})
		close(done)
		after.replies[question{name, dns.TypeSRV}] = &onceReply{done, Reply{Name: name, kind: dns.TypeSRV, State: Found, RRs: []dns.RR{srv}, From: "supposed"}}
	}
	return after
}

// ask queries the resolvers, within the bounds of one discovery.
func (r *Resolver) ask(ctx context.Context, name string, kind uint16) (in *dns.Msg, from string, err error) {
	if err := r.countQuestion(); err != nil {
		return nil, "", err
	}
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return nil, "", errLate
	}
	in, from, err = dnsquery.Query{Name: name, Type: kind, Timeout: r.timeout}.Resolve(ctx, r.servers)
	if err != nil && ctx.Err() != nil {
		err = errLate
	}
	return in, from, err
}

var errLate = errors.New("no answer in time")

func (r *Resolver) countQuestion() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asked++; r.asked > MaxQuestions {
		return fmt.Errorf("gave up after %d DNS questions", MaxQuestions)
	}
	return nil
}
