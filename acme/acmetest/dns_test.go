package acmetest_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-acme/lego/v4/challenge/dns01"
	"github.com/go-acme/lego/v4/providers/dns/rfc2136"
	"github.com/miekg/dns"

	"keypaird/acme/acmetest"
)

// ask puts one question to the server.
func ask(t *testing.T, ns *acmetest.DNS, network, name string, qtype uint16) *dns.Msg {
	t.Helper()
	c := &dns.Client{Net: network}
	m, _, err := c.ExchangeContext(t.Context(), new(dns.Msg).SetQuestion(dns.Fqdn(name), qtype), ns.Addr)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestDNSAnswers(t *testing.T) {
	ns := startDNS(t, acmetest.DNSOptions{
		Zones: []string{"example.org", "example.net"},
		Records: []string{
			"example.org 60 A 127.0.0.2",
			"matrix.example.org 60 A 127.0.0.1",
			"a.deep.example.org 60 TXT \"two words\" joined",
			"*.wild.example.org 60 CNAME matrix.example.org",
			"_acme-challenge.example.org 60 CNAME org.acme.example.net",
			"org.acme.example.net 60 TXT delegated",
			"out.example.org 60 CNAME www.example.com",
		},
	})
	for _, tt := range []struct {
		name, ask string
		qtype     uint16
		rcode     int
		want      []string // data of the answers
	}{
		{"address", "Matrix.example.org", dns.TypeA, dns.RcodeSuccess, []string{"127.0.0.1"}},
		{"zone", "example.org", dns.TypeSOA, dns.RcodeSuccess, []string{"ns.example.org. hostmaster.example.org. 1 3600 600 86400 1"}},
		{"name server", "example.net", dns.TypeNS, dns.RcodeSuccess, []string{"ns.example.net."}},
		{"name server's address", "ns.example.net", dns.TypeA, dns.RcodeSuccess, []string{"127.0.0.1"}},
		{"no such type", "matrix.example.org", dns.TypeAAAA, dns.RcodeSuccess, nil},
		{"only names below it", "deep.example.org", dns.TypeA, dns.RcodeSuccess, nil},
		{"no such name", "none.example.org", dns.TypeA, dns.RcodeNameError, nil},
		{"several strings", "a.deep.example.org", dns.TypeTXT, dns.RcodeSuccess, []string{`"two words" "joined"`}},
		{"wildcard alias", "x.y.wild.example.org", dns.TypeA, dns.RcodeSuccess, []string{"matrix.example.org.", "127.0.0.1"}},
		{"alias into another zone", "_acme-challenge.example.org", dns.TypeTXT, dns.RcodeSuccess, []string{"org.acme.example.net.", `"delegated"`}},
		{"alias itself", "_acme-challenge.example.org", dns.TypeCNAME, dns.RcodeSuccess, []string{"org.acme.example.net."}},
		{"alias to elsewhere", "out.example.org", dns.TypeA, dns.RcodeSuccess, []string{"www.example.com."}},
		{"somebody else's name", "example.com", dns.TypeA, dns.RcodeRefused, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, network := range []string{"udp", "tcp"} {
				m := ask(t, ns, network, tt.ask, tt.qtype)
				var got []string
				for _, rr := range m.Answer {
					got = append(got, strings.TrimPrefix(rr.String(), rr.Header().String()))
				}
				if m.Rcode != tt.rcode || !slices.Equal(got, tt.want) {
					t.Errorf("%s: %s %q, want %s %q", network, dns.RcodeToString[m.Rcode], got, dns.RcodeToString[tt.rcode], tt.want)
				}
				if m.Authoritative != (tt.rcode != dns.RcodeRefused) {
					t.Errorf("%s: authoritative %v", network, m.Authoritative)
				}
			}
		})
	}
}

// change sends a signed update and returns the answer's code.
func change(t *testing.T, ns *acmetest.DNS, key acmetest.TSIGKey, build func(*dns.Msg)) int {
	t.Helper()
	m := new(dns.Msg).SetUpdate("example.org.")
	build(m)
	c := &dns.Client{TsigSecret: map[string]string{dns.CanonicalName(key.Name): key.Secret}}
	if key.Name != "" {
		m.SetTsig(dns.CanonicalName(key.Name), dns.CanonicalName(key.Algorithm), 300, time.Now().Unix())
	}
	r, _, err := c.ExchangeContext(t.Context(), m, ns.Addr)
	if err != nil {
		t.Fatal(err)
	}
	return r.Rcode
}

func txt(t *testing.T, line string) []dns.RR {
	t.Helper()
	rr, err := dns.NewRR(line)
	if err != nil {
		t.Fatal(err)
	}
	return []dns.RR{rr}
}

func TestDNSUpdates(t *testing.T) {
	all := acmetest.NewTSIGKey("all")
	one := acmetest.NewTSIGKey("one", "_acme-challenge.example.org")
	wrong, stranger, weak := acmetest.NewTSIGKey("all"), acmetest.NewTSIGKey("stranger"), all
	weak.Algorithm = "hmac-sha1"
	for _, tt := range []struct {
		name string
		key  acmetest.TSIGKey
		line string
		want int
	}{
		{"key for everything", all, "x.example.org 60 TXT a", dns.RcodeSuccess},
		{"key for this name", one, "_acme-challenge.Example.org 60 TXT a", dns.RcodeSuccess},
		{"key for another name", one, "x.example.org 60 TXT a", dns.RcodeRefused},
		{"wrong secret", wrong, "x.example.org 60 TXT a", dns.RcodeNotAuth},
		{"another algorithm", weak, "x.example.org 60 TXT a", dns.RcodeNotAuth},
		{"key nobody knows", stranger, "x.example.org 60 TXT a", dns.RcodeNotAuth},
		{"no key", acmetest.TSIGKey{}, "x.example.org 60 TXT a", dns.RcodeRefused},
		{"name of another zone", all, "x.example.net 60 TXT a", dns.RcodeNotZone},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ns := startDNS(t, acmetest.DNSOptions{Keys: []acmetest.TSIGKey{all, one}})
			got := change(t, ns, tt.key, func(m *dns.Msg) { m.Insert(txt(t, tt.line)) })
			if got != tt.want {
				t.Errorf("%s, want %s", dns.RcodeToString[got], dns.RcodeToString[tt.want])
			}
			if n := len(ns.TXT()); (n == 1) != (tt.want == dns.RcodeSuccess) || n != ns.Updates() {
				t.Errorf("%d records after %d updates", n, ns.Updates())
			}
		})
	}
}

func TestDNSRecordsGoAway(t *testing.T) {
	key := acmetest.NewTSIGKey("all")
	ns := startDNS(t, acmetest.DNSOptions{Keys: []acmetest.TSIGKey{key}})
	two := append(txt(t, "x.example.org 60 TXT a"), txt(t, "x.example.org 60 TXT b")...)
	change(t, ns, key, func(m *dns.Msg) { m.Insert(two); m.Insert(two) })
	if got := ns.TXT(); !slices.Equal(got, []string{"x.example.org a", "x.example.org b"}) {
		t.Fatalf("TXT = %q", got)
	}
	change(t, ns, key, func(m *dns.Msg) { m.Remove(two[:1]) })
	if got := ns.TXT(); !slices.Equal(got, []string{"x.example.org b"}) {
		t.Errorf("after removing one record: TXT = %q", got)
	}
	change(t, ns, key, func(m *dns.Msg) { m.RemoveRRset(two[:1]) })
	if got := ns.TXT(); len(got) != 0 {
		t.Errorf("after removing the set: TXT = %q", got)
	}
	change(t, ns, key, func(m *dns.Msg) { m.RemoveName(txt(t, "example.org 60 TXT a")) })
	m := ask(t, ns, "udp", "example.org", dns.TypeSOA)
	if len(m.Answer) != 1 || m.Answer[0].(*dns.SOA).Serial != 5 {
		t.Errorf("after four updates and an attempt on the zone itself: %v", m.Answer)
	}
	ns.Remove("*.example.org", "a")
	if m := ask(t, ns, "udp", "y.example.org", dns.TypeA); m.Rcode != dns.RcodeNameError {
		t.Errorf("removed wildcard answers %v", m)
	}
}

func TestDNSDelay(t *testing.T) {
	key := acmetest.NewTSIGKey("all")
	const delay = 300 * time.Millisecond
	ns := startDNS(t, acmetest.DNSOptions{Keys: []acmetest.TSIGKey{key}, Delay: delay})
	start := time.Now()
	change(t, ns, key, func(m *dns.Msg) { m.Insert(txt(t, "x.example.org 60 TXT a")) })
	if len(ns.TXT()) != 1 {
		t.Error("record is not there yet")
	}
	for len(ask(t, ns, "udp", "x.example.org", dns.TypeTXT).Answer) == 0 {
	}
	if d := time.Since(start); d < delay {
		t.Errorf("record shows after %v", d)
	}
	ns.SetDelay(0)
	change(t, ns, key, func(m *dns.Msg) { m.RemoveName(txt(t, "x.example.org 60 TXT a")) })
	if m := ask(t, ns, "udp", "x.example.org", dns.TypeTXT); len(m.Answer) != 0 {
		t.Errorf("removed record still shows: %v", m.Answer)
	}
}

// The whole way with lego's own client and provider, and the key in a file.
func TestDNS01(t *testing.T) {
	key := acmetest.NewTSIGKey("keypaird", "_acme-challenge.example.org")
	ns := startDNS(t, acmetest.DNSOptions{Keys: []acmetest.TSIGKey{key}})
	ca, core := startCA(t, ns, acmetest.Options{})
	conf := rfc2136.NewDefaultConfig()
	conf.Nameserver = ns.Addr
	conf.TSIGFile = filepath.Join(t.TempDir(), "tsig")
	if err := key.WriteTSIGFile(conf.TSIGFile); err != nil {
		t.Fatal(err)
	}
	provider, err := rfc2136.NewDNSProviderConfig(conf)
	if err != nil {
		t.Fatal(err)
	}
	dns01.AddRecursiveNameservers([]string{ns.Addr})(nil)
	order, err := core.Orders.New([]string{"*.example.org"})
	if err != nil {
		t.Fatal(err)
	}
	authz, err := core.Authorizations.Get(order.Authorizations[0])
	if err != nil {
		t.Fatal(err)
	}
	c := challenge(t, authz, "dns-01")
	keyAuth, err := core.GetKeyAuthorization(c.Token)
	if err != nil {
		t.Fatal(err)
	}
	if err := provider.Present("example.org", c.Token, keyAuth); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(keyAuth))
	want := "_acme-challenge.example.org " + base64.RawURLEncoding.EncodeToString(sum[:])
	if got := ns.TXT(); !slices.Equal(got, []string{want}) {
		t.Errorf("TXT = %q, want %q", got, want)
	}
	if err := acmetest.Verdict(t.Context(), core, order.Authorizations[0], c.URL); err != nil {
		t.Fatal(err)
	}
	if err := provider.CleanUp("example.org", c.Token, keyAuth); err != nil {
		t.Fatal(err)
	}
	if got := ns.TXT(); len(got) != 0 {
		t.Errorf("after clean-up: TXT = %q", got)
	}
	chain, err := acmetest.Finalize(t.Context(), core, order, request(t, "*.example.org"))
	if err != nil {
		t.Fatal(err)
	}
	leaf := parse(t, ca, 0, chain, "any.example.org")[0]
	if challenges, err := ca.Challenges(leaf); err != nil || challenges["*.example.org"] != "dns-01" {
		t.Errorf("Challenges = %v, %v", challenges, err)
	}
}

// request is a certificate request for name, by a new key.
func request(t *testing.T, name string) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{name}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return csr
}
