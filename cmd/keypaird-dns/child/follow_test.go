package child

import (
	"net"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/go-acme/lego/v4/challenge"
	"github.com/go-acme/lego/v4/challenge/dns01"
	"github.com/miekg/dns"

	"keypaird/renew/problem"
)

// listenUDP starts a DNS server.
func listenUDP(t *testing.T, handle dns.HandlerFunc) (addr string) {
	t.Helper()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait)
	started := make(chan struct{})
	srv := &dns.Server{PacketConn: udp, Handler: handle, NotifyStartedFunc: func() { close(started) }}
	wg.Go(func() { _ = srv.ActivateAndServe() })
	<-started
	t.Cleanup(func() { _ = srv.Shutdown() })
	return udp.LocalAddr().String()
}

// GSS-TSIG is left to lego.
func TestDNSUpdateByKerberos(t *testing.T) {
	t.Setenv("DNSUPDATE_NAMESERVER", "ns.example")
	t.Setenv("DNSUPDATE_TSIG_ALGORITHM", "gss-tsig")
	f := &fake{}
	p := Program{Open: func(code string) (challenge.Provider, error) { return f, nil }}
	if got, err := p.provider("dnsupdate"); got != challenge.Provider(f) || err != nil {
		t.Errorf("provider = %T, %v, want lego's", got, err)
	}
	t.Setenv("DNSUPDATE_TSIG_ALGORITHM", "")
	if got, err := p.provider("dnsupdate"); err != nil {
		t.Error(err)
	} else if got == challenge.Provider(f) {
		t.Errorf("provider = %T, want our own", got)
	}
}

// answers serves the records of example.org, example.net and the root, with wildcards.
// A name that does not exist gets the SOA record of its zone.
func answers(t *testing.T, lines ...string) (addr string) {
	t.Helper()
	records := map[string]string{} // target by owner
	for _, line := range lines {
		owner, target, _ := strings.Cut(line, " ")
		records[owner] = target
	}
	return listenUDP(t, func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		m.RecursionAvailable = true
		name := q.Question[0].Name
		target, ok := records[name]
		for i, end := dns.NextLabel(name, 0); !end && !ok; i, end = dns.NextLabel(name, i) {
			if target, ok = records["*."+name[i:]]; !ok {
				_, ok = records[name[i:]]
			}
		}
		switch {
		case target == "broken":
			m.Rcode = dns.RcodeServerFailure
		case target != "":
			rr, _ := dns.NewRR(name + " 60 IN CNAME " + target)
			m.Answer = append(m.Answer, rr)
		default:
			zone := "."
			for _, z := range []string{"example.org.", "example.net."} {
				if dns.IsSubDomain(z, name) {
					zone = z
				}
			}
			rr, _ := dns.NewRR(zone + " 60 IN SOA ns. h. 1 3600 600 86400 60")
			m.Ns = append(m.Ns, rr)
			m.Rcode = dns.RcodeNameError
		}
		_ = w.WriteMsg(m)
	})
}

// Where lego asks for a TTL longer than needed, a short one is set; so is the version of
// the API of PowerDNS.
func TestShortTTL(t *testing.T) {
	p := Program{Open: func(string) (challenge.Provider, error) { return &fake{}, nil }}
	for _, tt := range []struct{ code, variable, set, want string }{
		{"pdns", "PDNS_TTL", "", "10"},
		{"pdns", "PDNS_TTL", "60", "60"},
		{"pdns", "PDNS_API_VERSION", "", "1"},
		{"pdns", "PDNS_API_VERSION", "0", "0"},
		{"cloudflare", "CLOUDFLARE_TTL", "", ""},
	} {
		t.Setenv(tt.variable, tt.set)
		if _, err := p.provider(tt.code); err != nil {
			t.Fatal(err)
		}
		if got := os.Getenv(tt.variable); got != tt.want {
			t.Errorf("%s: %s=%q, want %q", tt.code, tt.variable, got, tt.want)
		}
	}
}

func TestFollow(t *testing.T) {
	alive := answers(t,
		"_acme-challenge.a.example.org. there.example.net.",
		"_acme-challenge.chain.example.org. one.example.net.",
		"one.example.net. two.example.net.",
		"_acme-challenge.covered.example.org. www.wild.example.net.",
		"*.wild.example.net. proxy.example.net.",
		"*.w.example.org. proxy.elsewhere.example.",
		"*.example.net. example.net.",
		"_acme-challenge.loop.example.org. l1.example.org.",
		"l1.example.org. l2.example.org.",
		"l2.example.org. l1.example.org.",
		"_acme-challenge.dead.example.org. typo.example.nte.",
		"_acme-challenge.sick.example.org. sick.example.org.",
		"sick.example.org. broken",
		"_acme-challenge.half.example.org. there.example.net.",
		"*.half.example.org. broken",
	)
	broken := listenUDP(t, func(w dns.ResponseWriter, q *dns.Msg) {
		_ = w.WriteMsg(new(dns.Msg).SetRcode(q, dns.RcodeServerFailure))
	})
	for _, tt := range []struct {
		name, domain string
		resolvers    []string
		want, err    string
	}{
		{"a CNAME", "a.example.org", []string{alive}, "there.example.net.", ""},
		{"several", "chain.example.org", []string{alive}, "two.example.net.", ""},
		{"none", "b.example.org", []string{alive}, "_acme-challenge.b.example.org.", ""},
		{"one resolver is broken", "b.example.org", []string{broken, alive}, "_acme-challenge.b.example.org.", ""},
		{"all are broken", "a.example.org", []string{broken}, "", "cannot find out whether _acme-challenge.a.example.org. is a CNAME: resolver " + broken + ": answered SERVFAIL"},
		{"a wildcard", "w.example.org", []string{alive}, "_acme-challenge.w.example.org.", ""},
		{"a wildcard that leads to the apex", "example.net", []string{alive}, "_acme-challenge.example.net.", ""},
		{"a wildcard above", "deep.w.example.org", []string{alive}, "_acme-challenge.deep.w.example.org.", ""},
		{"the target is covered by a wildcard", "covered.example.org", []string{alive}, "www.wild.example.net.", ""},
		{"a loop", "loop.example.org", []string{alive}, "", "_acme-challenge.loop.example.org. -> l1.example.org. -> l2.example.org. -> l1.example.org.: the CNAMEs go round in a loop"},
		{"no such top-level domain", "dead.example.org", []string{alive}, "", "_acme-challenge.dead.example.org. -> typo.example.nte.: the CNAME leads to a domain that does not exist"},
		{"the target is not answered", "sick.example.org", []string{alive}, "", "cannot find out whether _acme-challenge.sick.example.org. -> sick.example.org. is a CNAME: resolver " + alive + ": answered SERVFAIL"},
		{"the names beside it are not answered", "half.example.org", []string{alive}, "", "cannot find out whether the CNAME of _acme-challenge.half.example.org. is that of a wildcard: resolver " + alive + ": answered SERVFAIL"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv(noCNAME, "")
			s := &server{}
			defer s.pin.stop()
			if err := s.setResolvers(tt.resolvers); err != nil {
				t.Fatal(err)
			}
			fqdn, err := s.follow(t.Context(), tt.domain)
			if tt.err != "" {
				if err == nil || err.Error() != tt.err || problem.Remedy(err) == "" {
					t.Errorf("follow = %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil || fqdn != tt.want {
				t.Fatalf("follow = %q, %v, want %q", fqdn, err, tt.want)
			}
			if err := s.lead(t.Context(), tt.domain, fqdn); err != nil {
				t.Fatal(err)
			}
			if got := dns01.GetChallengeInfo(tt.domain, "t.k").EffectiveFQDN; got != fqdn {
				t.Errorf("lego publishes at %s, want %s", got, fqdn)
			}
		})
	}
}

// A record ends the wildcard for the names beside it, but a resolver has the CNAME of
// the name in its cache.
func TestFollowWithRecordPublished(t *testing.T) {
	t.Setenv(noCNAME, "")
	s := &server{}
	if err := s.setResolvers([]string{answers(t, "*.example.org. example.org.", "w.example.org. ", "_acme-challenge.w.example.org. example.org.")}); err != nil {
		t.Fatal(err)
	}
	if fqdn, err := s.follow(t.Context(), "w.example.org"); err != nil || fqdn != "_acme-challenge.w.example.org." {
		t.Errorf("follow = %q, %v", fqdn, err)
	}
}
