package dnsquery

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"time"

	"github.com/miekg/dns"
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

// Do sends the query over UDP and, if the answer is truncated or there is none,
// over TCP. Only UDP uses EDNS (RFC 6891), so a server that ignores queries with
// EDNS still answers over TCP.
func (q Query) Do(ctx context.Context) (*dns.Msg, error) {
	m := new(dns.Msg).SetQuestion(q.Name, q.Type)
	m.RecursionDesired = q.Recurse
	m.AuthenticatedData = q.Recurse
	in, err := q.overUDP(ctx, m)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err == nil && !in.Truncated {
		return in, nil
	}
	whole, tcpErr := q.attempt(ctx, m, "tcp")
	switch {
	case tcpErr == nil:
		return whole, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err == nil:
		return nil, fmt.Errorf("answer truncated, and over TCP: %w", tcpErr)
	}
	return nil, fmt.Errorf("no answer over UDP or TCP: %w", tcpErr)
}

// overUDP sends m with EDNS, and without to a server that does not support it
// (RFC 6891, section 7).
func (q Query) overUDP(ctx context.Context, m *dns.Msg) (*dns.Msg, error) {
	in, err := q.attempt(ctx, m.Copy().SetEdns0(udpSize, false), "udp")
	if err == nil && (in.Rcode == dns.RcodeFormatError || in.Rcode == dns.RcodeNotImplemented) {
		return q.attempt(ctx, m, "udp")
	}
	return in, err
}

// attempt returns the answer to m. It ends with ctx.
func (q Query) attempt(ctx context.Context, m *dns.Msg, network string) (*dns.Msg, error) {
	client := dns.Client{Net: network, Timeout: cmp.Or(q.Timeout, defaultTimeout)}
	if network == "udp" {
		client.Timeout = min(client.Timeout, maxUDPWait)
	}
	conn, err := client.DialContext(ctx, q.Server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	in, _, err := client.ExchangeWithConnContext(ctx, m, conn)
	if err != nil {
		return nil, err
	}
	return in, matchQuestion(in, q.Name, q.Type)
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
