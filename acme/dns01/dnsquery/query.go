package dnsquery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/miekg/dns"

	"keypaird/renew/sockets"
)

const (
	defaultTimeout = 2 * time.Second
	maxUDPWait     = 3 * time.Second // lost packets are common: TCP is tried after that
	udpSize        = 1232            // of an answer, not fragmented on the way (DNS flag day 2020)
)

// A Query is one question to one server.
type Query struct {
	Server  string // host:port
	Name    string // fully qualified
	Type    uint16
	Recurse bool          // the server is a resolver; its answer says whether DNSSEC validated it (RFC 6840, section 5.7)
	Timeout time.Duration // of one attempt, at most 3s over UDP; zero: 2s
}

// errTruncated is why the server is not asked again: it did answer.
var errTruncated = errors.New("answer truncated, and over TCP")

// Do asks Server over UDP and, if it does not answer, over TCP.
func (q Query) Do(ctx context.Context) (*dns.Msg, error) {
	in, err := q.overUDP(ctx)
	if err != nil && !errors.Is(err, errTruncated) {
		in, err = q.overTCP(ctx)
	}
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return in, err
}

// Resolve asks resolvers, in order, until one has a conclusive answer, and returns
// the answer and the resolver. All are asked over UDP before any is asked over
// TCP, so one that is down costs one timeout; one that answered with an error is
// not asked again. The error is that of a resolver that answered, if any did.
// Resolve ignores Server and sets Recurse.
func (q Query) Resolve(ctx context.Context, resolvers []string) (in *dns.Msg, resolver string, err error) {
	q.Recurse = true
	answered := make([]bool, len(resolvers))
	var inconclusive, silent error
	for _, ask := range []func(Query, context.Context) (*dns.Msg, error){Query.overUDP, Query.overTCP} {
		for i, addr := range resolvers {
			if answered[i] {
				continue
			}
			q.Server = addr
			in, err := ask(q, ctx)
			answered[i] = err == nil || errors.Is(err, errTruncated)
			if err == nil {
				err = Check(in, true)
			}
			switch {
			case err == nil:
				return in, addr, nil
			case ctx.Err() != nil:
				return nil, "", context.Cause(ctx)
			case answered[i]:
				inconclusive = fmt.Errorf("resolver %s: %w", addr, err)
			default:
				silent = fmt.Errorf("resolver %s: %w", addr, err)
			}
		}
	}
	return nil, "", cmp.Or(inconclusive, silent, errNoResolver)
}

// overUDP sends the query with EDNS, and without to a server that does not support
// it (RFC 6891, section 7). It gets a truncated answer over TCP.
func (q Query) overUDP(ctx context.Context) (*dns.Msg, error) {
	in, err := q.attempt(ctx, q.message().SetEdns0(udpSize, false), "udp")
	if err == nil && (in.Rcode == dns.RcodeFormatError || in.Rcode == dns.RcodeNotImplemented) {
		in, err = q.attempt(ctx, q.message(), "udp")
	}
	if err != nil || !in.Truncated {
		return in, err
	}
	if in, err = q.attempt(ctx, q.message(), "tcp"); err != nil {
		return nil, fmt.Errorf("%w: %w", errTruncated, err)
	}
	return in, nil
}

// overTCP sends the query without EDNS: a server that ignores queries with EDNS
// answers here.
func (q Query) overTCP(ctx context.Context) (*dns.Msg, error) {
	in, err := q.attempt(ctx, q.message(), "tcp")
	if err != nil {
		return nil, fmt.Errorf("no answer over UDP or TCP: %w", err)
	}
	return in, nil
}

func (q Query) message() *dns.Msg {
	m := new(dns.Msg).SetQuestion(q.Name, q.Type)
	m.RecursionDesired = q.Recurse
	m.AuthenticatedData = q.Recurse
	return m
}

// attempt returns the answer to m. It ends with ctx.
func (q Query) attempt(ctx context.Context, m *dns.Msg, network string) (*dns.Msg, error) {
	in, err := q.exchange(ctx, m, network)
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err // the caller names the server; our own port differs each time
	}
	if err != nil {
		return nil, err
	}
	return in, matchQuestion(in, q.Name, q.Type)
}

func (q Query) exchange(ctx context.Context, m *dns.Msg, network string) (*dns.Msg, error) {
	client := dns.Client{Net: network, Timeout: cmp.Or(q.Timeout, defaultTimeout)}
	if network == "udp" {
		client.Timeout = min(client.Timeout, maxUDPWait)
	}
	socket, err := sockets.Dial(ctx, net.Dialer{Timeout: client.Timeout}, network, q.Server)
	if err != nil {
		return nil, err
	}
	conn := &dns.Conn{Conn: socket}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	in, _, err := client.ExchangeWithConnContext(ctx, m, conn)
	return in, err
}

// SystemResolvers returns the name servers of a resolv.conf file as host:port, or
// those of this host if the file names none (resolv.conf(5)).
func SystemResolvers(path string) []string {
	conf, err := dns.ClientConfigFromFile(path)
	if err != nil || len(conf.Servers) == 0 {
		return []string{"127.0.0.1:53", "[::1]:53"}
	}
	var list []string
	for _, server := range conf.Servers {
		list = append(list, net.JoinHostPort(server, conf.Port))
	}
	return list
}
