package discover

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"keypaird/hooks/discover/records"
)

// freeAddr is where a test's DNS server listens: port 53 of an address of its
// own in our network, else whatever is free.
func freeAddr(t *testing.T, last int) string {
	t.Helper()
	needNetwork(t)
	return fmt.Sprintf("127.2.0.%d:53", last)
}

func query(t *testing.T, d Discoverer, name string, kind uint16) records.Reply {
	t.Helper()
	r, err := patiently(d).Begin("example.org", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r.Query(t.Context(), name, kind)
}

// What is long comes over TCP.
func TestTruncated(t *testing.T) {
	addr := freeAddr(t, 1)
	serveDNS(t, addr, func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		m.RecursionAvailable = true
		if w.RemoteAddr().Network() == "udp" {
			m.Truncated = true
		} else {
			for i := range 40 {
				rr, _ := dns.NewRR(fmt.Sprintf("%s 60 IN TXT \"%03d %s\"", q.Question[0].Name, i, strings.Repeat("x", 200)))
				m.Answer = append(m.Answer, rr)
			}
		}
		w.WriteMsg(m)
	})
	if rep := query(t, Discoverer{Resolvers: []string{addr}}, "long.test", dns.TypeTXT); rep.State != records.Found || len(rep.RRs) != records.MaxRecords {
		t.Errorf("%s %s with %d records, want %d", rep.State, rep.Why, len(rep.RRs), records.MaxRecords)
	}
}

// Where UDP does not get through, TCP is tried.
func TestNoUDP(t *testing.T) {
	addr := freeAddr(t, 8)
	ln, err := net.Listen("tcp", addr) // nothing listens on UDP
	if err != nil {
		t.Fatal(err)
	}
	s := &dns.Server{Listener: ln, Handler: fromZone("a.test. 60 IN A 192.0.2.1\n")}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.ActivateAndServe()
	}()
	t.Cleanup(func() {
		ln.Close()
		<-done
	})
	if rep := query(t, Discoverer{Resolvers: []string{addr}}, "a.test", dns.TypeA); rep.State != records.Found {
		t.Errorf("%s %s", rep.State, rep.Why)
	}
}

// Old servers do not understand EDNS (RFC 6891, section 7).
func TestWithoutEDNS(t *testing.T) {
	addr := freeAddr(t, 2)
	plain := fromZone("old.test. 60 IN A 192.0.2.1\n")
	serveDNS(t, addr, func(w dns.ResponseWriter, q *dns.Msg) {
		if q.IsEdns0() != nil {
			m := new(dns.Msg)
			m.SetRcodeFormatError(q)
			w.WriteMsg(m)
			return
		}
		plain(w, q)
	})
	if rep := query(t, Discoverer{Resolvers: []string{addr}}, "old.test", dns.TypeA); rep.State != records.Found {
		t.Errorf("%s %s", rep.State, rep.Why)
	}
}

// Four ways of not having an answer, and what each of them means.
func TestNoAnswer(t *testing.T) {
	refuse := func(rcode int) dns.HandlerFunc {
		return func(w dns.ResponseWriter, q *dns.Msg) {
			m := new(dns.Msg)
			m.SetRcode(q, rcode)
			m.RecursionAvailable = true
			if e := q.IsEdns0(); e != nil && rcode == dns.RcodeServerFailure {
				m.SetEdns0(1232, false)
				m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_EDE{InfoCode: dns.ExtendedErrorCodeDNSBogus})
			}
			w.WriteMsg(m)
		}
	}
	refer := func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		m.RecursionAvailable = true
		ns, _ := dns.NewRR("test. 60 IN NS ns.elsewhere.test.")
		m.Ns = append(m.Ns, ns)
		w.WriteMsg(m)
	}
	shrug := func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		w.WriteMsg(m)
	}
	for i, tt := range []struct {
		name  string
		serve dns.HandlerFunc
		state records.State
		why   string
	}{
		{"SERVFAIL", refuse(dns.RcodeServerFailure), records.Undetermined, "SERVFAIL (DNSSEC Bogus)"},
		{"REFUSED", refuse(dns.RcodeRefused), records.Undetermined, "REFUSED"},
		{"NXDOMAIN", refuse(dns.RcodeNameError), records.Absent, "NXDOMAIN"},
		{"no data", refuse(dns.RcodeSuccess), records.Absent, "no such record"},
		{"nothing, from no resolver", shrug, records.Undetermined, "not a resolver for that name"},
		{"a referral", refer, records.Undetermined, "referred to other servers"},
		{"silence", func(dns.ResponseWriter, *dns.Msg) {}, records.Undetermined, "no answer"},
		{"circles", fromZone("a.test. 60 IN CNAME b.test.\nb.test. 60 IN CNAME a.test.\n"), records.Undetermined, "in circles"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			addr := freeAddr(t, 10+i)
			serve := tt.serve
			if tt.name == "circles" {
				serve = circles
			}
			serveDNS(t, addr, serve)
			d := Discoverer{Resolvers: []string{addr}}
			if tt.name == "silence" {
				d.Query = 50 * time.Millisecond
			}
			rep := query(t, d, "a.test", dns.TypeA)
			if rep.State != tt.state || !strings.Contains(rep.Why, tt.why) {
				t.Errorf("%s, %q, want %s, %q", rep.State, rep.Why, tt.state, tt.why)
			}
		})
	}
}

// circles: a is an alias of b and b of a, one at a time.
func circles(w dns.ResponseWriter, q *dns.Msg) {
	m := new(dns.Msg)
	m.SetReply(q)
	m.RecursionAvailable = true
	to := map[string]string{"a.test.": "b.test.", "b.test.": "a.test."}[q.Question[0].Name]
	rr, _ := dns.NewRR(q.Question[0].Name + " 60 IN CNAME " + to)
	m.Answer = append(m.Answer, rr)
	w.WriteMsg(m)
}

// An authoritative server does not follow an alias out of its zones: we do.
func TestAliasIsFollowed(t *testing.T) {
	addr := freeAddr(t, 3)
	serveDNS(t, addr, func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		m.RecursionAvailable = true
		text := map[string]string{"a.test.": "a.test. 300 IN CNAME b.test.", "b.test.": "b.test. 20 IN CNAME c.test.", "c.test.": "c.test. 60 IN A 192.0.2.1"}[q.Question[0].Name]
		if rr, err := dns.NewRR(text); err == nil {
			m.Answer = append(m.Answer, rr)
		}
		w.WriteMsg(m)
	})
	rep := query(t, Discoverer{Resolvers: []string{addr}}, "a.test", dns.TypeA)
	if rep.State != records.Found || rep.Owner() != "c.test" || rep.TTL != 20*time.Second {
		t.Errorf("%+v", rep)
	}
	if e := rep.Evidence(""); e.Says != "alias of c.test: 192.0.2.1" {
		t.Errorf("evidence = %+v", e)
	}
}

// The next resolver is asked if one fails.
func TestNextResolver(t *testing.T) {
	bad, good := freeAddr(t, 4), freeAddr(t, 5)
	serveDNS(t, bad, func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetRcode(q, dns.RcodeServerFailure)
		m.RecursionAvailable = true
		w.WriteMsg(m)
	})
	serveDNS(t, good, fromZone("a.test. 60 IN A 192.0.2.1\n"))
	rep := query(t, Discoverer{Resolvers: []string{"127.2.0.4", good}}, "a.test", dns.TypeA)
	if rep.State != records.Found || rep.From != good {
		t.Errorf("%s by %s: %s", rep.State, rep.From, rep.Why)
	}
}

// An answer to another question is none.
func TestOtherQuestion(t *testing.T) {
	addr := freeAddr(t, 6)
	serveDNS(t, addr, func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		m.RecursionAvailable = true
		m.Question[0].Name = "b.test."
		rr, _ := dns.NewRR("a.test. 60 IN A 192.0.2.1")
		m.Answer = append(m.Answer, rr)
		w.WriteMsg(m)
	})
	if rep := query(t, Discoverer{Resolvers: []string{addr}}, "a.test", dns.TypeA); rep.State != records.Undetermined || !strings.Contains(rep.Why, "answered a different question") {
		t.Errorf("%s, %q", rep.State, rep.Why)
	}
}

// Negative answers last as the SOA says (RFC 2308, section 5).
func TestNegativeTTL(t *testing.T) {
	addr := freeAddr(t, 7)
	serveDNS(t, addr, func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetRcode(q, dns.RcodeNameError)
		m.RecursionAvailable = true
		rr, _ := dns.NewRR("test. 900 IN SOA ns.test. h.test. 1 2 3 4 120")
		m.Ns = append(m.Ns, rr)
		w.WriteMsg(m)
	})
	if rep := query(t, Discoverer{Resolvers: []string{addr}}, "a.test", dns.TypeA); rep.TTL != 2*time.Minute {
		t.Errorf("lasts %s, want 2m", rep.TTL)
	}
}

func TestResolvers(t *testing.T) {
	d := Discoverer{Resolvers: []string{"192.0.2.1", "192.0.2.2:5353", "2001:db8::1", "[2001:db8::2]", "[2001:db8::3]:54", "dns.example.org"}}
	want := "192.0.2.1:53 192.0.2.2:5353 [2001:db8::1]:53 [2001:db8::2]:53 [2001:db8::3]:54 dns.example.org:53"
	if got := strings.Join(records.ServerAddrs(d.Resolvers), " "); got != want {
		t.Errorf("resolvers = %s, want %s", got, want)
	}
	for _, addr := range records.ServerAddrs(nil) {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			t.Error(err)
		}
	}
}

// Wrong questions are errors with a remedy.
func TestBegin(t *testing.T) {
	for _, tt := range []struct {
		domain, service, component string
	}{
		{"exa mple.org", "", ""}, {"", "", ""}, {"https://example.org", "", ""}, {"b\u00fccher.example", "", ""},
		{"example.org", "gopher", ""}, {"example.org", "", "a b"}, {"example.org:8448", "xmpp", ""}, {"192.0.2.1", "web", ""},
	} {
		var services, components []string
		if tt.service != "" {
			services = []string{tt.service}
		}
		if tt.component != "" {
			components = []string{tt.component}
		}
		_, err := new(Discoverer).Discover(t.Context(), tt.domain, services, components)
		var remedy interface{ Remedy() string }
		if !errors.As(err, &remedy) || remedy.Remedy() == "" || strings.Contains(err.Error(), "\n") {
			t.Errorf("%+v: error %v", tt, err)
		}
	}
}
