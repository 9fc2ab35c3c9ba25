package acmetest

import (
	"net"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// A Cache is a caching resolver for one DNS server, as a CA has: it repeats an answer
// until its lowest TTL has passed, and a negative one for the TTL of its SOA record (RFC
// 2308, section 5). It follows no delegations.
type Cache struct {
	Addr string // host:port, TCP and UDP

	upstream string
	front    *DNS // serves, but has no zones of its own

	mu      sync.Mutex
	answers map[dns.Question]cached
}

type cached struct {
	msg   *dns.Msg
	until time.Time
}

// StartCache starts a resolver before the server at upstream, host:port. The
// caller closes it.
func StartCache(upstream string) (*Cache, error) {
	tcp, udp, err := listenBoth(net.JoinHostPort("127.0.0.1", "0"))
	if err != nil {
		return nil, err
	}
	c := &Cache{Addr: tcp.Addr().String(), upstream: upstream, front: &DNS{}, answers: map[dns.Question]cached{}}
	c.front.closeOnce = sync.OnceValue(c.front.close)
	c.front.serve(dns.HandlerFunc(c.handle), &dns.Server{Listener: tcp}, &dns.Server{PacketConn: udp})
	return c, nil
}

// Close ends the resolver.
func (c *Cache) Close() error { return c.front.Close() }

func (c *Cache) handle(w dns.ResponseWriter, r *dns.Msg) {
	m := new(dns.Msg).SetRcode(r, dns.RcodeServerFailure)
	if len(r.Question) == 1 {
		if in := c.resolve(r.Question[0]); in != nil {
			m.Rcode, m.Answer, m.Ns = in.Rcode, in.Answer, in.Ns
		}
	}
	m.RecursionAvailable = true
	w.WriteMsg(m)
}

// resolve returns the answer to q, nil if there is none.
func (c *Cache) resolve(q dns.Question) *dns.Msg {
	q.Name = dns.CanonicalName(q.Name)
	c.mu.Lock()
	defer c.mu.Unlock()
	if have, ok := c.answers[q]; ok && time.Now().Before(have.until) {
		return have.msg
	}
	client := &dns.Client{Net: "tcp", Timeout: 5 * time.Second}
	in, _, err := client.Exchange(new(dns.Msg).SetQuestion(q.Name, q.Qtype), c.upstream)
	if err != nil {
		return nil
	}
	var ttl uint32
	for i, rr := range append(in.Answer, in.Ns...) {
		life := rr.Header().Ttl
		if soa, ok := rr.(*dns.SOA); ok {
			life = min(life, soa.Minttl)
		}
		if i == 0 || life < ttl {
			ttl = life
		}
	}
	c.answers[q] = cached{in, time.Now().Add(time.Duration(ttl) * time.Second)}
	return in
}
