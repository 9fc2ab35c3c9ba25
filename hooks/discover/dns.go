package discover

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/miekg/dns"
)

// Bounds on what DNS may make us do.
const (
	maxQuestions = 600 // in one Discover
	maxAliases   = 8   // of one name
	maxRecords   = 32  // of one set that are looked at
	maxAddrs     = 16  // of one host
)

// asUDP is how long an answer over UDP may be (DNS flag day 2020).
const asUDP = 1232

// resolvers are whom to ask: those chosen, or resolv.conf's.
func (d *Discoverer) resolvers() []string {
	list := d.Resolvers
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

// ask puts one question to one resolver after the other until one knows. An
// answer is NOERROR or NXDOMAIN: everything else is no answer.
func (r *run) ask(ctx context.Context, name string, kind uint16) (in *dns.Msg, from string, err error) {
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
		for _, addr := range r.from {
			in, err := r.exchange(ctx, name, kind, network, addr)
			if ctx.Err() != nil {
				return nil, "", errLate
			}
			if err == nil {
				return in, addr, nil
			}
			r.log.Debug("no answer from resolver", "resolver", addr, "name", name, "type", dns.TypeToString[kind], "error", err)
			last = fmt.Errorf("resolver %s: %w", addr, err)
			if _, final := errors.AsType[*rcodeError](err); final && len(r.from) == 1 && round == 0 {
				return nil, "", last // it would say so again
			}
		}
	}
	return nil, "", last
}

var errLate = errors.New("no answer in time")

var errTooManyQuestions = fmt.Errorf("gave up after %d DNS questions", maxQuestions)

func (r *run) countQuestion() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asked++; r.asked > maxQuestions {
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
func (r *run) exchange(ctx context.Context, name string, kind uint16, network, addr string) (*dns.Msg, error) {
	m := new(dns.Msg)
	m.SetQuestion(name, kind)
	m.AuthenticatedData = true // tell whether DNSSEC vouches for it (RFC 6840, section 5.7)
	m.SetEdns0(asUDP, false)
	in, err := r.once(ctx, m, network, addr)
	if err == nil && (in.Rcode == dns.RcodeFormatError || in.Rcode == dns.RcodeNotImplemented) {
		m.Extra = nil
		in, err = r.once(ctx, m, network, addr)
	}
	if err == nil && in.Truncated {
		if in, err = r.once(ctx, m, "tcp", addr); err != nil {
			return nil, fmt.Errorf("its answer is cut off, and over TCP: %w", err)
		}
	}
	switch {
	case err != nil:
		return nil, plainer(err)
	case in.Rcode != dns.RcodeSuccess && in.Rcode != dns.RcodeNameError:
		return nil, &rcodeError{in.Rcode, extended(in)}
	case len(in.Question) != 1 || !strings.EqualFold(in.Question[0].Name, name) || in.Question[0].Qtype != kind:
		return nil, errOther
	case referral(in):
		return nil, errReferral
	}
	return in, nil
}

func (r *run) once(ctx context.Context, m *dns.Msg, network, addr string) (*dns.Msg, error) {
	client := dns.Client{Net: network, Timeout: r.d.queryTimeout(), UDPSize: asUDP}
	conn, err := client.DialContext(ctx, addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	in, _, err := client.ExchangeWithConnContext(ctx, m, conn)
	return in, err
}

// plainer drops what net says of sockets.
func plainer(err error) error {
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
