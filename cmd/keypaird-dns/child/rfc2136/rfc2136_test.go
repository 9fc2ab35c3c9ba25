package rfc2136

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"keypaird/renew/problem"
	"keypaird/renew/testutil"
)

// listen starts a DNS server on UDP and TCP.
func listen(t *testing.T, handle dns.HandlerFunc) (addr string) {
	t.Helper()
	udp, tcp := testutil.ListenBoth(t)
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait)
	for _, srv := range []*dns.Server{{PacketConn: udp, Handler: handle}, {Listener: tcp, Handler: handle}} {
		srv.MsgAcceptFunc = func(dns.Header) dns.MsgAcceptAction { return dns.MsgAccept } // updates too
		srv.TsigSecret = map[string]string{"host.": secret}
		started := make(chan struct{})
		srv.NotifyStartedFunc = func() { close(started) }
		wg.Go(func() { _ = srv.ActivateAndServe() })
		<-started
		t.Cleanup(func() { _ = srv.Shutdown() })
	}
	return udp.LocalAddr().String()
}

const secret = "TCG5A6/lOHUGbW0e/9RYYbzWDFMlj1pIxCvybLBayBg="

// An updated server keeps the updates it got.
type updated struct {
	mu     sync.Mutex
	drop   bool // of what comes over UDP, updates are not answered
	plain  bool // answers are not signed
	got    []string
	origin string // its zone
}

func (u *updated) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	u.mu.Lock()
	defer u.mu.Unlock()
	network := w.RemoteAddr().Network()
	m := new(dns.Msg).SetReply(q)
	if q.Opcode == dns.OpcodeUpdate {
		if u.drop && network == "udp" {
			return
		}
		for _, rr := range q.Ns {
			u.got = append(u.got, network+" "+q.Question[0].Name+" "+strings.Join(strings.Fields(rr.String()), " "))
		}
		if t := q.IsTsig(); t != nil && w.TsigStatus() == nil && !u.plain {
			m.SetTsig(t.Hdr.Name, t.Algorithm, 300, time.Now().Unix())
		}
	} else {
		m.Authoritative = true
		soa, _ := dns.NewRR(u.origin + " 60 IN SOA ns. h. 1 1 1 1 1")
		switch name := q.Question[0].Name; {
		case strings.EqualFold(name, u.origin):
			m.Answer = append(m.Answer, soa)
		case dns.IsSubDomain(u.origin, name):
			m.Rcode, m.Ns = dns.RcodeNameError, append(m.Ns, soa)
		default:
			m.Rcode = dns.RcodeRefused
		}
	}
	_ = w.WriteMsg(m)
}

func (u *updated) updates() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return strings.Join(u.got, "\n")
}

func TestDNSUpdate(t *testing.T) {
	t.Setenv("LEGO_DISABLE_CNAME_SUPPORT", "true")
	const value = "dlB0GFFBjq1DwqiLNYRbUrjZLT6IqLn_wqx7amut1k0"
	signed := map[string]string{"DNSUPDATE_TSIG_KEY": "HOST", "DNSUPDATE_TSIG_SECRET": secret, "DNSUPDATE_TSIG_ALGORITHM": "hmac-sha256"}
	for _, tt := range []struct {
		name   string
		server *updated
		env    map[string]string
		want   string // of Present: network, zone, record
		err    string
	}{
		{"not signed", &updated{}, nil, "udp example.org. _acme-challenge.a.example.org. 10 IN TXT", ""},
		{"signed", &updated{}, signed, "udp example.org. _acme-challenge.a.example.org. 10 IN TXT", ""},
		{"UDP gets no answer", &updated{drop: true}, signed, "tcp example.org. _acme-challenge.a.example.org. 10 IN TXT", ""},
		{"own TTL, by its other name", &updated{}, map[string]string{"RFC2136_TTL": "7"}, "udp example.org. _acme-challenge.a.example.org. 7 IN TXT", ""},
		{"zones given", &updated{}, map[string]string{"RFC2136_ZONES": "org, a.Example.org,xample.org"}, "udp a.example.org. _acme-challenge.a.example.org. 10 IN TXT", ""},
		{"in none of the zones", &updated{}, map[string]string{"RFC2136_ZONES": "ample.org"}, "", "is in none of the zones ample.org."},
		{"not its zone", &updated{origin: "example.net."}, nil, "", "knows no zone that _acme-challenge.a.example.org. is in"},
		{"answer without signature", &updated{plain: true}, signed, "udp example.org.", "answers a signed update without a signature"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.server.origin == "" {
				tt.server.origin = "example.org."
			}
			t.Setenv("RFC2136_NAMESERVER", listen(t, tt.server.ServeDNS))
			t.Setenv("RFC2136_DNS_TIMEOUT", "1")
			for name, v := range tt.env {
				t.Setenv(name, v)
			}
			u, err := New()
			if err != nil {
				t.Fatal(err)
			}
			err = u.Present("a.example.org", "t", "t.k")
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Fatalf("Present = %v, want %q", err, tt.err)
			}
			if got := tt.server.updates(); !strings.HasPrefix(got, tt.want) || strings.Contains(got, "\n") || tt.want == "" && got != "" {
				t.Errorf("updates %q, want %q and nothing else", got, tt.want)
			}
			if err != nil {
				return
			}
			if err := u.CleanUp("a.example.org", "t", "t.k"); err != nil {
				t.Fatal(err)
			}
			// RFC 8555, section 8.4, of "t.k". Class NONE: this value of the set only (RFC 2136, section 2.5.4).
			_, last, _ := strings.Cut(tt.server.updates(), "\n")
			if !strings.Contains(last, "_acme-challenge.a.example.org. 0 NONE TXT") || !strings.Contains(last, value) {
				t.Errorf("clean-up sent %q", last)
			}
		})
	}
}

func TestDNSUpdateVariables(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := file("good", "# made by tsig-keygen\nkey \"Host.example\" {\n\talgorithm hmac-sha512; // the best\n\tsecret \""+secret+"\";\n};\n")
	want := tsigKey{"host.example.", dns.HmacSHA512, secret}
	for _, tt := range []struct {
		name string
		env  map[string]string
		key  tsigKey
		err  string
	}{
		{"no key", nil, tsigKey{}, ""},
		{"key file", map[string]string{"RFC2136_TSIG_FILE": good}, want, ""},
		{"key file on one line", map[string]string{"DNSUPDATE_TSIG_FILE": file("line",
			`key host.example { algorithm "hmac-sha512"; secret `+secret+`; };`)}, want, ""},
		{"three variables", map[string]string{"DNSUPDATE_TSIG_KEY": "host.EXAMPLE", "RFC2136_TSIG_ALGORITHM": "hmac-sha512.",
			"RFC2136_TSIG_SECRET": secret}, want, ""},
		{"secret from a file", map[string]string{"RFC2136_TSIG_KEY": "host.example", "RFC2136_TSIG_ALGORITHM": "HMAC-SHA512",
			"RFC2136_TSIG_SECRET_FILE": file("secret", secret+"\n")}, want, ""},
		{"lego's default algorithm", map[string]string{"RFC2136_TSIG_KEY": "host.example", "RFC2136_TSIG_SECRET": secret},
			tsigKey{"host.example.", dns.HmacSHA1, secret}, ""},
		{"two keys in the file", map[string]string{"RFC2136_TSIG_FILE": file("two", keyText("a")+keyText("b"))}, tsigKey{}, "has 2 keys, want one"},
		{"an empty file", map[string]string{"RFC2136_TSIG_FILE": file("empty", "")}, tsigKey{}, "has 0 keys, want one"},
		{"key without secret", map[string]string{"RFC2136_TSIG_KEY": "host.example"}, tsigKey{}, "one of them is missing"},
		{"unknown algorithm", map[string]string{"RFC2136_TSIG_KEY": "host.example", "RFC2136_TSIG_SECRET": secret,
			"RFC2136_TSIG_ALGORITHM": "hmac-md5"}, tsigKey{}, `TSIG algorithm "hmac-md5." is not known`},
		{"no server", map[string]string{"RFC2136_NAMESERVER": ""}, tsigKey{}, "RFC2136_NAMESERVER is missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("RFC2136_NAMESERVER", "ns.example")
			for name, v := range tt.env {
				t.Setenv(name, v)
			}
			made, err := New()
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("New = %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if u := made.(*provider); u.key != tt.key || u.server != "ns.example:53" {
				t.Errorf("key %+v at %s, want %+v", u.key, u.server, tt.key)
			}
		})
	}
}

// What servers answer to an update that they do not make. unbound and NSD send the
// signature back as it came, which is no signature of theirs.
func TestRefused(t *testing.T) {
	t.Setenv("LEGO_DISABLE_CNAME_SUPPORT", "true")
	for _, tt := range []struct {
		server       string
		rcode        int
		err          uint16 // of TSIG; 0: the signature of the query is sent back
		want, remedy string
	}{
		{"unbound", dns.RcodeNotImplemented, 0, "answers NOTIMP to an update of TXT", "set RFC2136_NAMESERVER to the zone's primary server"},
		{"PowerDNS, another key", dns.RcodeRefused, 0, "answers REFUSED to an update of TXT", "PowerDNS answers so to a key that differs"},
		{"Knot DNS, no acl for the name", dns.RcodeNotAuth, dns.RcodeBadKey, "it takes no such key with hmac-sha512 for this (BADKEY)", "where no acl of the zone lets the key change this name"},
	} {
		t.Run(tt.server, func(t *testing.T) {
			zone := &updated{origin: "example.org."}
			t.Setenv("RFC2136_NAMESERVER", listen(t, func(w dns.ResponseWriter, q *dns.Msg) {
				if q.Opcode != dns.OpcodeUpdate {
					zone.ServeDNS(w, q)
					return
				}
				m := new(dns.Msg).SetRcode(q, tt.rcode)
				sent := dns.Copy(q.IsTsig()).(*dns.TSIG)
				if sent.Error = tt.err; tt.err != 0 {
					sent.MAC, sent.MACSize = "", 0
				}
				m.Extra = append(m.Extra, sent)
				packed, err := m.Pack() // WriteMsg would sign it
				if err == nil {
					_, err = w.Write(packed)
				}
				if err != nil {
					t.Error(err)
				}
			}))
			t.Setenv("RFC2136_DNS_TIMEOUT", "1")
			t.Setenv("RFC2136_TSIG_KEY", "host")
			t.Setenv("RFC2136_TSIG_SECRET", secret)
			t.Setenv("RFC2136_TSIG_ALGORITHM", "hmac-sha512")
			u, err := New()
			if err != nil {
				t.Fatal(err)
			}
			err = u.Present("a.example.org", "t", "t.k")
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(problem.Remedy(err), tt.remedy) {
				t.Errorf("Present = %v, remedy %q; want %q, %q", err, problem.Remedy(err), tt.want, tt.remedy)
			}
		})
	}
}

func keyText(name string) string {
	return "key " + name + " { algorithm hmac-sha256; secret \"" + secret + "\"; };\n"
}
