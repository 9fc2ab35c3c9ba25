package records

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Bounds on what DNS may make us do.
const (
	MaxQuestions = 600 // in one Discover
	maxAliases   = 8   // of one name
	MaxRecords   = 32  // of one set that are looked at
	MaxAddrs     = 16  // of one host
)

// asUDP is how long an answer over UDP may be (DNS flag day 2020).
const udpSize = 1232

// serverAddrs returns the servers with their ports; none: those of resolv.conf.
func ServerAddrs(list []string) []string {
	if len(list) == 0 {
		conf, err := dns.ClientConfigFromFile("/etc/resolv.conf")
		if err != nil || len(conf.Servers) == 0 {
			return []string{"127.0.0.1:53", "[::1]:53"} // resolv.conf(5)
		}
		for _, s := range conf.Servers {
			list = append(list, net.JoinHostPort(s, conf.Port))
		}
		return list
	}
	whole := make([]string, 0, len(list))
	for _, s := range list {
		switch _, _, err := net.SplitHostPort(s); {
		case err == nil:
		default:
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

// ask puts one question to one resolver after the other until one knows. An
// answer is NOERROR or NXDOMAIN: everything else is no answer.
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
	var last error
	for round, network := range []string{"udp", "tcp"} { // UDP may be lost or forbidden
		for _, addr := range r.servers {
			in, err := r.exchange(ctx, name, kind, network, addr)
			if ctx.Err() != nil {
				return nil, "", errLate
			}
			if err == nil {
				return in, addr, nil
			}
			r.log.Debug("no answer from resolver", "resolver", addr, "name", name, "type", dns.TypeToString[kind], "error", err)
			last = fmt.Errorf("resolver %s: %w", addr, err)
			if _, final := errors.AsType[*rcodeError](err); final && len(r.servers) == 1 && round == 0 {
				return nil, "", last // it would say so again
			}
		}
	}
	return nil, "", last
}

var errLate = errors.New("no answer in time")

var errTooManyQuestions = fmt.Errorf("gave up after %d DNS questions", MaxQuestions)

func (r *Resolver) countQuestion() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asked++; r.asked > MaxQuestions {
		return errTooManyQuestions
	}
	return nil
}

// An rcodeError is a resolver's way of saying that it does not know.
type rcodeError struct {
	rcode int
	extra string // RFC 8914
}

func (e *rcodeError) Error() string {
	s := dns.RcodeToString[e.rcode]
	if s == "" {
		s = fmt.Sprintf("RCODE %d", e.rcode)
	}
	if e.extra != "" {
		s += " (" + e.extra + ")"
	}
	return s
}

var (
	errReferral = errors.New("it does not know and refers to other servers: it is not a resolver for that name")
	errOther    = errors.New("it answers another question than the one asked")
)

// exchange asks one resolver, and over TCP if the answer is cut off.
// A server that does not understand EDNS is asked without (RFC 6891, section 7).
func (r *Resolver) exchange(ctx context.Context, name string, kind uint16, network, addr string) (*dns.Msg, error) {
	m := new(dns.Msg)
	m.SetQuestion(name, kind)
	m.AuthenticatedData = true // tell whether DNSSEC vouches for it (RFC 6840, section 5.7)
	m.SetEdns0(udpSize, false)
	in, err := r.roundTrip(ctx, m, network, addr)
	if err == nil && (in.Rcode == dns.RcodeFormatError || in.Rcode == dns.RcodeNotImplemented) {
		m.Extra = nil
		in, err = r.roundTrip(ctx, m, network, addr)
	}
	if err == nil && in.Truncated {
		if in, err = r.roundTrip(ctx, m, "tcp", addr); err != nil {
			return nil, fmt.Errorf("its answer is cut off, and over TCP: %w", err)
		}
	}
	switch {
	case err != nil:
		return nil, PlainError(err)
	case in.Rcode != dns.RcodeSuccess && in.Rcode != dns.RcodeNameError:
		return nil, &rcodeError{in.Rcode, extended(in)}
	case len(in.Question) != 1 || !strings.EqualFold(in.Question[0].Name, name) || in.Question[0].Qtype != kind:
		return nil, errOther
	case referral(in):
		return nil, errReferral
	}
	return in, nil
}

func (r *Resolver) roundTrip(ctx context.Context, m *dns.Msg, network, addr string) (*dns.Msg, error) {
	client := dns.Client{Net: network, Timeout: r.timeout, UDPSize: udpSize}
	conn, err := client.DialContext(ctx, addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	in, _, err := client.ExchangeWithConnContext(ctx, m, conn)
	return in, err
}

// PlainError drops what net says of sockets.
func PlainError(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		if op.Timeout() {
			return errors.New("no answer")
		}
		err = op.Err
	}
	if call, ok := errors.AsType[*os.SyscallError](err); ok {
		return call.Err
	}
	return err
}

// extended is what a resolver adds to SERVFAIL, such as "DNSSEC Bogus".
func extended(in *dns.Msg) string {
	opt := in.IsEdns0()
	if opt == nil {
		return ""
	}
	for _, o := range opt.Option {
		if ede, ok := o.(*dns.EDNS0_EDE); ok {
			return dns.ExtendedErrorCodeToString[ede.InfoCode]
		}
	}
	return ""
}

// referral tells an answer "ask those", or nothing at all, from "there is none"
// (RFC 2308, section 2.2).
func referral(in *dns.Msg) bool {
	if in.Rcode != dns.RcodeSuccess || in.Authoritative || len(in.Answer) > 0 {
		return false
	}
	servers := false
	for _, rr := range in.Ns {
		switch rr.(type) {
		case *dns.SOA:
			return !in.RecursionAvailable
		case *dns.NS:
			servers = true
		}
	}
	return servers || !in.RecursionAvailable
}
