package child

import (
	"net"
	"sync"
	"testing"

	"github.com/go-acme/lego/v4/challenge"
	"github.com/miekg/dns"
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

func TestFollow(t *testing.T) {
	alive := listenUDP(t, func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		if q.Question[0].Name == "_acme-challenge.a.example.org." {
			rr, _ := dns.NewRR("_acme-challenge.a.example.org. 60 IN CNAME there.example.net.")
			m.Answer = append(m.Answer, rr)
		} else {
			m.Rcode = dns.RcodeNameError
		}
		_ = w.WriteMsg(m)
	})
	broken := listenUDP(t, func(w dns.ResponseWriter, q *dns.Msg) {
		_ = w.WriteMsg(new(dns.Msg).SetRcode(q, dns.RcodeServerFailure))
	})
	for _, tt := range []struct {
		name, domain string
		resolvers    []string
		want, err    string
	}{
		{"a CNAME", "a.example.org", []string{alive}, "there.example.net.", ""},
		{"none", "b.example.org", []string{alive}, "_acme-challenge.b.example.org.", ""},
		{"one resolver is broken", "b.example.org", []string{broken, alive}, "_acme-challenge.b.example.org.", ""},
		{"all are broken", "a.example.org", []string{broken}, "", "cannot find out whether _acme-challenge.a.example.org. is a CNAME: resolver " + broken + ": answered SERVFAIL"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &server{}
			if err := s.setResolvers(tt.resolvers); err != nil {
				t.Fatal(err)
			}
			info, err := s.follow(t.Context(), tt.domain, "t.k")
			if tt.err != "" {
				if err == nil || err.Error() != tt.err {
					t.Errorf("follow = %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil || info.EffectiveFQDN != tt.want {
				t.Errorf("follow = %q, %v, want %q", info.EffectiveFQDN, err, tt.want)
			}
		})
	}
}
