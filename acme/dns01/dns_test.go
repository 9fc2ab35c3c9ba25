package dns01

import (
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"

	"keypaird/renew/testutil"
)

// A nameServer is a DNS server for tests: it answers from its records, and may
// misbehave.
type nameServer struct {
	mu      sync.Mutex
	records []dns.RR
	asked   int // questions for TXT

	authoritative bool
	secure        bool   // DNSSEC vouches for its answers, and it says so to who asks
	mode          string // "", "silent", "refused", "truncated" (over UDP), "lame", "referral", "other" (question), "tcp" (silent over UDP)
	after         int    // questions for TXT that are answered as if there was none
}

func (s *nameServer) set(t *testing.T, lines ...string) {
	t.Helper()
	var records []dns.RR
	for _, line := range lines {
		rr, err := dns.NewRR(line)
		if err != nil || rr == nil {
			t.Fatalf("record %q: %v", line, err)
		}
		records = append(records, rr)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records = records
}

// lines returns the records as set takes them.
func (s *nameServer) lines() (list []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rr := range s.records {
		list = append(list, rr.String())
	}
	return list
}

func (s *nameServer) misbehave(mode string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mode = mode
}

func (s *nameServer) questions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

func (s *nameServer) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	tcp := w.RemoteAddr().Network() == "tcp"
	m := new(dns.Msg).SetReply(q)
	m.Authoritative = s.authoritative
	m.RecursionAvailable = !s.authoritative
	m.AuthenticatedData = s.secure && q.AuthenticatedData && q.RecursionDesired
	question := q.Question[0]
	hidden := false
	if question.Qtype == dns.TypeTXT {
		s.asked++
		hidden = s.asked <= s.after
	}
	switch {
	case s.mode == "silent", s.mode == "tcp" && !tcp:
		return
	case s.mode == "refused":
		m.Rcode = dns.RcodeRefused
	case s.mode == "lame":
		m.Authoritative = false
	case s.mode == "referral":
		m.Ns = []dns.RR{&dns.NS{Hdr: dns.RR_Header{Name: "org.", Rrtype: dns.TypeNS, Class: dns.ClassINET}, Ns: "ns.example.net."}}
	case s.mode == "other":
		m.Question = []dns.Question{{Name: "other." + question.Name, Qtype: question.Qtype, Qclass: question.Qclass}}
	case s.mode == "truncated" && !tcp:
		m.Truncated = true
	default:
		s.fill(m, question, hidden)
	}
	_ = w.WriteMsg(m)
}

func (s *nameServer) fill(m *dns.Msg, q dns.Question, hidden bool) {
	exists := false
	for _, rr := range s.records {
		h := rr.Header()
		if strings.EqualFold(h.Name, q.Name) && !hidden {
			exists = true
			if h.Rrtype == q.Qtype || h.Rrtype == dns.TypeCNAME {
				m.Answer = append(m.Answer, rr)
			}
		}
	}
	if len(m.Answer) > 0 {
		s.chase(m, q)
		return
	}
	if !exists {
		m.Rcode = dns.RcodeNameError
	}
	longest := ""
	for _, rr := range s.records {
		if soa, ok := rr.(*dns.SOA); ok && dns.IsSubDomain(soa.Hdr.Name, q.Name) && len(soa.Hdr.Name) > len(longest) {
			longest, m.Ns = soa.Hdr.Name, []dns.RR{soa}
		}
	}
}

// chase adds the records at the target of a CNAME.
func (s *nameServer) chase(m *dns.Msg, q dns.Question) {
	c, ok := m.Answer[0].(*dns.CNAME)
	for _, rr := range s.records {
		if ok && q.Qtype != dns.TypeCNAME && rr.Header().Rrtype == q.Qtype && strings.EqualFold(rr.Header().Name, c.Target) {
			m.Answer = append(m.Answer, rr)
		}
	}
}

// serve starts a server on UDP and TCP. With port "" any free one is taken.
func serve(t *testing.T, s *nameServer, ip, port string) (addr string) {
	t.Helper()
	if ip != "127.0.0.1" && runtime.GOOS != "linux" {
		t.Skipf("%s has only 127.0.0.1 on its loopback interface", runtime.GOOS)
	}
	if port == "" {
		port = "0"
	}
	var udp net.PacketConn
	var tcp net.Listener
	var err error
	for range 20 { // the port may be free for one of the two only
		if udp, err = net.ListenPacket("udp", net.JoinHostPort(ip, port)); err != nil {
			break
		}
		if tcp, err = net.Listen("tcp", udp.LocalAddr().String()); err == nil {
			break
		}
		udp.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait) // runs last
	for _, srv := range []*dns.Server{{PacketConn: udp, Handler: s}, {Listener: tcp, Handler: s}} {
		started := make(chan struct{})
		srv.NotifyStartedFunc = func() { close(started) }
		wg.Go(func() { _ = srv.ActivateAndServe() })
		<-started
		t.Cleanup(func() { _ = srv.Shutdown() })
	}
	return udp.LocalAddr().String()
}

// zoneOf returns the records of a zone with the given name servers.
func zoneOf(zone string, servers map[string][]string) []string {
	lines := []string{zone + " 300 IN SOA ns. hostmaster. 1 3600 600 86400 60"}
	for name, addrs := range servers {
		lines = append(lines, zone+" 300 IN NS "+name)
		for _, a := range addrs {
			kind := " 300 IN A "
			if strings.Contains(a, ":") {
				kind = " 300 IN AAAA "
			}
			lines = append(lines, name+kind+a)
		}
	}
	return lines
}

func portOf(t *testing.T, addr string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

var eventually = testutil.Eventually
