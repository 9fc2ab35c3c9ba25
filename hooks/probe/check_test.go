package probe

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"
)

// noon is when every judgement of these tests is made.
var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

const testDay = 24 * time.Hour

// An issued certificate can issue others.
type issued struct {
	*x509.Certificate
	key crypto.Signer
}

// sign makes a certificate. by is nil for a root; change may alter what it says.
func sign(t *testing.T, by *issued, name string, change func(*x509.Certificate)) *issued {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signKey(t, by, key, name, change)
}

func signKey(t *testing.T, by *issued, key crypto.Signer, name string, change func(*x509.Certificate)) *issued {
	t.Helper()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: noon.Add(-30 * testDay), NotAfter: noon.Add(60 * testDay),
	}
	if change != nil {
		change(c)
	}
	parent, signer := c, key
	if by != nil {
		parent, signer = by.Certificate, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &issued{cert, key}
}

func asCA(c *x509.Certificate) {
	c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	c.NotBefore, c.NotAfter = noon.Add(-1000*testDay), noon.Add(1000*testDay)
}

func both(a, b func(*x509.Certificate)) func(*x509.Certificate) {
	return func(c *x509.Certificate) { a(c); b(c) }
}

// forNames is a certificate as public CAs issue them in 2026.
func forNames(names ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.DNSNames = names
		c.KeyUsage, c.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
}

func lasts(from, until time.Duration) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = noon.Add(from), noon.Add(until) }
}

func with(c *x509.Certificate, more ...*issued) []*x509.Certificate {
	chain := []*x509.Certificate{c}
	for _, m := range more {
		chain = append(chain, m.Certificate)
	}
	return chain
}

// faults are the findings in short.
func faults(list []Issue) string {
	var texts []string
	for _, f := range list {
		texts = append(texts, string(f.Fault))
	}
	return strings.Join(texts, " ")
}

// A judgement is a row of these tables.
type judgement struct {
	name   string
	chain  []*x509.Certificate
	expect Expect
	faults string
	says   string // of the first
}

// judged judges each chain by one root, for example.org unless it says else.
func judged(t *testing.T, root *issued, rows []judgement) {
	roots := x509.NewCertPool()
	roots.AddCert(root.Certificate)
	for _, tt := range rows {
		t.Run(tt.name, func(t *testing.T) {
			e := tt.expect
			e.Now, e.Roots = noon, roots
			if e.Names == nil {
				e.Names = []string{"example.org"}
			}
			version := uint16(tls.VersionTLS12)
			if tt.name == "old TLS" {
				version = tls.VersionTLS11
			}
			got := Check(Result{tt.chain, version}, e)
			if faults(got) != tt.faults {
				t.Fatalf("Check = %v, want %s", got, tt.faults)
			}
			if len(got) > 0 && !strings.Contains(got[0].Text, tt.says) {
				t.Errorf("it says %q, want %q", got[0].Text, tt.says)
			}
		})
	}
}

// leafOf makes leaves.
func leafOf(t *testing.T) func(by *issued, change func(*x509.Certificate)) *x509.Certificate {
	return func(by *issued, change func(*x509.Certificate)) *x509.Certificate {
		return sign(t, by, "", change).Certificate
	}
}

func TestJudgeNames(t *testing.T) {
	root := sign(t, nil, "Root", asCA)
	one := sign(t, root, "One", asCA)
	leaf := leafOf(t)
	plain := leaf(one, forNames("example.org"))
	judged(t, root, []judgement{
		{"well", with(plain, one), Expect{}, "", ""},
		{"with its root", with(plain, one, root), Expect{}, "", ""},
		{"one of two names", with(plain, one), Expect{Names: []string{"www.example.org", "EXAMPLE.org"}}, "", ""},
		{"names do not matter", with(leaf(one, forNames("other.test")), one), Expect{Names: []string{}}, "", ""},
		{"IP address", with(leaf(one, func(c *x509.Certificate) { c.IPAddresses = []net.IP{{192, 0, 2, 1}} }), one), Expect{Names: []string{"192.0.2.1"}}, "", ""},
		{"an address that is not there", with(plain, one), Expect{Names: []string{"192.0.2.1"}}, "name", "is for example.org, not for 192.0.2.1"},

		{"the host instead of the plain domain", with(leaf(one, forNames("matrix.example.org")), one), Expect{}, "name", "is for matrix.example.org, not for example.org"},
		{"none of two", with(plain, one), Expect{Names: []string{"a.test", "b.test"}}, "name", "is for example.org, not for a.test or b.test"},
		{"wildcard", with(leaf(one, forNames("*.example.org")), one), Expect{Names: []string{"chat.example.org"}}, "", ""},
		{"wildcard for the domain", with(leaf(one, forNames("*.example.org")), one), Expect{}, "name", "a wildcard is not for the domain itself"},
		{"wildcard for two labels", with(leaf(one, forNames("*.example.org")), one), Expect{Names: []string{"a.b.example.org"}}, "name", "is for *.example.org, not for a.b.example.org"},
		{"wildcard where none does", with(leaf(one, forNames("*.example.org")), one), Expect{Names: []string{"sip.example.org"}, NoWildcard: true}, "name", "these peers take no wildcard"},
		{"no wildcard where none does", with(plain, one), Expect{NoWildcard: true}, "", ""},
		{"common name", with(leaf(one, func(c *x509.Certificate) { c.Subject.CommonName = "example.org" }), one), Expect{}, "name", "is for no name, not for example.org: peers do not read its common name any more"},
		{"many names", with(leaf(one, forNames("a.test", "b.test", "c.test", "d.test", "e.test", "f.test")), one), Expect{}, "name", "is for a.test, b.test, c.test, d.test and 2 more, not"},
	})
}

func TestJudgeDates(t *testing.T) {
	root := sign(t, nil, "Root", asCA)
	one := sign(t, root, "One", asCA)
	old := sign(t, root, "Old", both(asCA, lasts(-90*testDay, -testDay)))
	leaf := leafOf(t)
	judged(t, root, []judgement{
		{"ended", with(leaf(one, both(forNames("example.org"), lasts(-90*testDay, -3*testDay))), one), Expect{}, "expired", "ended on 2026-11-21 12:00 UTC, 3 days ago"},
		{"not begun", with(leaf(one, both(forNames("example.org"), lasts(time.Hour, 3*testDay))), one), Expect{}, "not-yet-valid", "is not valid before 2026-11-24 13:00 UTC"},
		{"ends soon", with(leaf(one, both(forNames("example.org"), lasts(-80*testDay, 10*testDay))), one), Expect{}, "ends-soon", "ends on 2026-12-04 12:00 UTC, in 10 days"},
		{"of six days, two left", with(leaf(one, both(forNames("example.org"), lasts(-4*testDay, 2*testDay))), one), Expect{}, "", ""},
		{"of six days, an hour left", with(leaf(one, both(forNames("example.org"), lasts(-6*testDay, time.Hour))), one), Expect{}, "ends-soon", "in 1 hour:"},
		{"intermediate ended", with(leaf(old, forNames("example.org")), old), Expect{}, "expired", `is signed by "Old", which ended on 2026-11-23 12:00 UTC`},
		{"ended, and nothing else", with(leaf(one, both(forNames("example.org"), lasts(-90*testDay, -40*testDay))), one), Expect{}, "expired", ""},
	})
}

func TestJudgeChains(t *testing.T) {
	root := sign(t, nil, "Root", asCA)
	one := sign(t, root, "One", asCA)
	two := sign(t, one, "Two", asCA)
	private := sign(t, nil, "Private", asCA)
	below := sign(t, private, "Below", asCA)
	leaf := leafOf(t)
	plain, deep := leaf(one, forNames("example.org")), leaf(two, forNames("example.org"))
	judged(t, root, []judgement{
		{"leaf alone", with(plain), Expect{}, "incomplete", `is signed by "One", which is neither sent nor a root of this machine`},
		{"leaf alone, we know better", with(plain), Expect{Known: with(one.Certificate)}, "incomplete", `is sent without its intermediate "One"`},
		{"one of two is missing", with(deep, two), Expect{}, "untrusted", `leads to "Two", signed by "One", which is neither sent nor a root of this machine`},
		{"one of two is missing, we know better", with(deep, two), Expect{Known: with(two.Certificate, one)}, "incomplete", `is sent without its intermediate "One"`},
		{"intermediate of somebody else", with(plain, below), Expect{}, "incomplete", `is signed by "One"`},
		{"private CA", with(leaf(below, forNames("example.org")), below), Expect{}, "untrusted", `leads to "Below", signed by "Private", which is neither sent nor a root of this machine`},
		{"private CA, its chain is known", with(leaf(below, forNames("example.org")), below), Expect{Known: with(below.Certificate, private)}, "untrusted", `leads to "Below"`},
		{"private CA with its root", with(leaf(below, forNames("example.org")), below, private), Expect{}, "untrusted", `leads to "Private", which is no root of this machine`},
		{"signed by itself", with(leaf(nil, forNames("example.org"))), Expect{}, "untrusted", "is signed by itself"},
		{"wrong order", with(deep, one, two), Expect{}, "disorder", "is sent with its intermediates in the wrong order"},
		{"twice", with(plain, &issued{Certificate: plain}, one), Expect{}, "disorder", "is sent twice"},
		{"with a stranger", with(plain, one, below), Expect{}, "disorder", `is sent with "Below", which has nothing to do with it`},
	})
}

func TestJudgeUsage(t *testing.T) {
	root := sign(t, nil, "Root", asCA)
	one := sign(t, root, "One", asCA)
	mail := sign(t, root, "Mail CA", both(asCA, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection} }))
	below := sign(t, sign(t, nil, "Private", asCA), "Below", asCA)
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	leaf := leafOf(t)
	plain := leaf(one, forNames("example.org"))
	judged(t, root, []judgement{
		{"for mail", with(leaf(one, func(c *x509.Certificate) {
			c.DNSNames, c.ExtKeyUsage = []string{"example.org"}, []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}
		}), one), Expect{}, "usage", "is not for servers: its extended key usage lacks serverAuth"},
		{"for nothing in particular", with(leaf(one, func(c *x509.Certificate) { c.DNSNames = []string{"example.org"} }), one), Expect{Client: true}, "", ""},
		{"by a CA that is for mail", with(leaf(mail, forNames("example.org")), mail), Expect{}, "usage", "is signed by a CA that may not sign for servers"},
		{"no signatures", with(leaf(one, both(forNames("example.org"), func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment })), one), Expect{}, "usage", "lacks digitalSignature"},
		{"not for clients", with(plain, one), Expect{Client: true}, "client-usage", "is not for clients"},
		{"short key", with(signKey(t, one, short, "", forNames("example.org")).Certificate, one), Expect{}, "weak-key", "has an RSA key of 1024 bits"},

		{"old TLS", with(plain, one), Expect{}, "old-tls", "is served with TLS 1.1, which most peers refuse"},
		{"all at once, the worst first", with(leaf(below, both(forNames("other.test"), lasts(-80*testDay, 10*testDay))), below), Expect{Client: true}, "name untrusted ends-soon client-usage", "is for other.test"},
	})
}

// A chain comes from a stranger: it costs little and writes to no terminal.
func TestJudgeHostileChains(t *testing.T) {
	root := sign(t, nil, "same", asCA)
	evil := "\x1b]0;pwned\x07" + strings.Repeat("x", 10000)
	long := make([]string, 2000)
	for i := range long {
		long[i] = strings.Repeat("a.", 100) + "test"
	}
	leaf := sign(t, root, evil, func(c *x509.Certificate) { c.DNSNames = long }).Certificate
	chain := with(leaf, sign(t, nil, evil, asCA))
	for range 5000 {
		chain = append(chain, root.Certificate)
	}
	start := time.Now()
	list := Check(Result{chain, tls.VersionTLS13}, Expect{Now: noon, Names: []string{"example.org"}, Roots: x509.NewCertPool()})
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("took %s", took)
	}
	if faults(list) != "name untrusted" {
		t.Errorf("Check = %s", faults(list))
	}
	roots := x509.NewCertPool()
	roots.AddCert(root.Certificate)
	one := sign(t, root, "One", asCA)
	ok := sign(t, one, "", forNames("example.org")).Certificate
	far := append(append(with(ok), chain[1:40]...), one.Certificate) // behind what anybody would send
	if got := faults(Check(Result{far, tls.VersionTLS13}, Expect{Now: noon, Roots: roots})); got != "incomplete" {
		t.Errorf("an intermediate in place %d: %q, want it not looked at", len(far), got)
	}
	for _, f := range append(list, Issue{Text: subject(leaf)}, Issue{Text: Issuer(chain[1])}) {
		if len(f.Text) > 1500 || strings.ContainsAny(f.Text, "\x1b\x07\n") {
			t.Errorf("%d bytes: %q", len(f.Text), f.Text)
		}
	}
}
