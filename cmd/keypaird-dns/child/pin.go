package child

import (
	"context"
	"net"
	"strings"
	"sync"

	"github.com/miekg/dns"

	"keypaird/acme/dns01/dnsquery"
)

// A pin is a resolver for lego on the loopback interface. It answers that one name is a
// CNAME to another, which is none, and asks the real resolvers for all else.
type pin struct {
	addr      string // host:port; empty until start
	ctx       context.Context
	resolvers []string
	conn      net.PacketConn

	mu       sync.Mutex
	from, to string
}

// start serves until stop.
func (p *pin) start(ctx context.Context, resolvers []string) error {
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	p.conn, p.addr, p.ctx, p.resolvers = udp, udp.LocalAddr().String(), context.WithoutCancel(ctx), resolvers
	srv := &dns.Server{PacketConn: udp, Handler: dns.HandlerFunc(p.handle)}
	go func() { _ = srv.ActivateAndServe() }()
	return nil
}

func (p *pin) stop() {
	if p.conn != nil {
		p.conn.Close()
	}
}

func (p *pin) set(from, to string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.from, p.to = from, to
}

func (p *pin) handle(w dns.ResponseWriter, r *dns.Msg) {
	m := new(dns.Msg).SetRcode(r, dns.RcodeServerFailure)
	if len(r.Question) == 1 {
		p.answer(m)
	}
	m.RecursionAvailable = true
	_ = w.WriteMsg(m)
}

func (p *pin) answer(m *dns.Msg) {
	p.mu.Lock()
	from, to := p.from, p.to
	p.mu.Unlock()
	q := m.Question[0]
	switch {
	case q.Qtype == dns.TypeCNAME && strings.EqualFold(q.Name, from):
		m.Rcode = dns.RcodeSuccess
		m.Answer = []dns.RR{&dns.CNAME{Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET}, Target: to}}
	case q.Qtype == dns.TypeCNAME && strings.EqualFold(q.Name, to):
		m.Rcode = dns.RcodeSuccess
	default:
		in, _, err := dnsquery.Query{Name: q.Name, Type: q.Qtype}.Resolve(p.ctx, p.resolvers)
		if err == nil {
			m.Rcode, m.Answer, m.Ns = in.Rcode, in.Answer, in.Ns
		}
	}
}
