package records

import (
	"context"
	"crypto/rand"
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

// Bounds, whatever DNS contains.
const (
	MaxQueries = 600 // of one discovery
	maxAliases = 8   // of one name
	MaxRecords = 32  // of one set
	MaxAddrs   = 16  // of one host
)

// ServerAddrs returns the servers as host:port, or those of /etc/resolv.conf if
// the list is empty.
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

// A Resolver queries DNS servers and caches the replies. Its bounds are those of one
// discovery.
type Resolver struct {
	servers []string
	given   map[string][]netip.Addr
	timeout time.Duration // of one attempt at one server
	log     *slog.Logger
	slots   chan struct{} // one for each running query
	label   string        // of names that nobody has published

	mu      sync.Mutex
	asked   int
	replies map[question]*onceReply
}

// NewResolver returns a Resolver that queries the servers, or those of
// /etc/resolv.conf if there are none. The addresses given for a name replace those
// in DNS.
func NewResolver(servers []string, given map[string][]netip.Addr, timeout time.Duration, log *slog.Logger) *Resolver {
	r := &Resolver{
		servers: ServerAddrs(servers), given: map[string][]netip.Addr{}, timeout: timeout, log: log,
		slots: make(chan struct{}, 16), label: strings.ToLower(rand.Text()), replies: map[question]*onceReply{},
	}
	for name, addrs := range given {
		r.given[Canonical(name)] = addrs
	}
	return r
}

// Servers returns the servers to query, in order.
func (r *Resolver) Servers() []string { return r.servers }

// Given reports whether the addresses of a host were given to NewResolver.
func (r *Resolver) Given(host string) bool {
	_, ok := r.given[host]
	return ok
}

// supposed stands for the server of records that are not published.
const supposed = "supposed"

// SupposeSRV returns a Resolver with the same replies, except that the SRV records
// of the names lead to one host.
func (r *Resolver) SupposeSRV(names []string, host string, port uint16) *Resolver {
	r.mu.Lock()
	defer r.mu.Unlock()
	after := &Resolver{servers: r.servers, given: r.given, timeout: r.timeout, log: r.log, slots: r.slots, label: r.label, replies: maps.Clone(r.replies)}
	for _, name := range names {
		srv := &dns.SRV{Hdr: dns.RR_Header{Name: dns.Fqdn(name), Rrtype: dns.TypeSRV, Class: dns.ClassINET}, Priority: 10, Port: port, Target: dns.Fqdn(host)}
		done := make(chan struct{})
		close(done)
		after.replies[question{name, dns.TypeSRV}] = &onceReply{done, Reply{Name: name, kind: dns.TypeSRV, State: Found, RRs: []dns.RR{srv}, From: supposed}}
	}
	return after
}

// ask queries the servers, within the bounds of one discovery.
func (r *Resolver) ask(ctx context.Context, name string, kind uint16) (in *dns.Msg, from string, err error) {
	if err := r.countQuery(); err != nil {
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

func (r *Resolver) countQuery() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asked++; r.asked > MaxQueries {
		return fmt.Errorf("gave up after %d DNS queries", MaxQueries)
	}
	return nil
}
