package acme_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"keypaird/acme"
	"keypaird/acme/acmetest"
)

func rootName(t *testing.T, ca *acmetest.CA, n int) string {
	t.Helper()
	block, _ := pem.Decode(ca.RootPEM(n))
	if block == nil {
		t.Fatalf("no root %d", n)
	}
	root, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return root.Subject.CommonName
}

func TestPreferredChain(t *testing.T) {
	malformed := func(_ string, _ http.Header, _ []byte) []byte { return []byte("<html>") }
	for _, tt := range []struct {
		name    string
		prefer  func(t *testing.T, g *fixture) string
		wrap    func(http.Handler) http.Handler
		chain   int    // that is used
		warning string // "" means none
	}{
		{"none", func(*testing.T, *fixture) string { return "" }, nil, 0, ""},
		{"that of the CA itself", func(t *testing.T, g *fixture) string { return rootName(t, g.ca, 0) }, nil, 0, ""},
		{"the last alternate", func(t *testing.T, g *fixture) string { return rootName(t, g.ca, 2) }, nil, 2, ""},
		{"not offered", func(*testing.T, *fixture) string { return "DST Root CA X3" }, nil, 0, `preferred chain not offered`},
		{"an alternate that cannot be fetched", func(t *testing.T, g *fixture) string { return rootName(t, g.ca, 2) },
			only("/alternate/1", acmetest.Problem{Status: 404, Type: "malformed", Detail: "gone"}), 2, "alternate chain not usable"},
		{"the wanted one cannot be fetched", func(t *testing.T, g *fixture) string { return rootName(t, g.ca, 2) },
			only("/alternate/2", acmetest.Problem{Status: 404, Type: "malformed", Detail: "gone"}), 0, "preferred chain not offered"},
		{"the alternates are no certificates", func(t *testing.T, g *fixture) string { return rootName(t, g.ca, 2) },
			onlyRewrite("/alternate/", malformed), 0, "preferred chain not offered"},
		{"the wanted one is a chain for another key", func(t *testing.T, g *fixture) string { return rootName(t, g.ca, 2) },
			onlyRewrite("/alternate/2", func(_ string, _ http.Header, body []byte) []byte { return forge(body, forgery{}) }), 0, "alternate chain not usable"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newFixture(t, acmetest.Options{AlternateRoots: 2, Wrap: tt.wrap})
			req := g.request("a.test")
			req.PreferredChain = tt.prefer(t, g)
			pair, err := g.client(t).Obtain(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := pair.Chain[len(pair.Chain)-1].Issuer.CommonName, rootName(t, g.ca, tt.chain); got != want {
				t.Errorf("the chain leads to %s, want %s", got, want)
			}
			if log := g.log.String(); !strings.Contains(log, tt.warning) || tt.warning == "" && strings.Contains(log, "WARN") {
				t.Errorf("log = %s, want a warning %q", log, tt.warning)
			}
		})
	}
}

// only lets h answer what has part in its path.
func only(part string, h http.Handler) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, part) {
				h.ServeHTTP(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

func onlyRewrite(part string, change func(string, http.Header, []byte) []byte) func(http.Handler) http.Handler {
	return rewrite(acmetest.PathCertificate, func(path string, h http.Header, body []byte) []byte {
		if strings.Contains(path, part) {
			return change(path, h, body)
		}
		return body
	})
}

// A forgery says how a certificate differs from the one the CA issued.
type forgery struct {
	key       crypto.PublicKey // nil means one of nobody
	names     []string         // nil means the same
	notBefore time.Time        // zero means the same
	notAfter  time.Time        // likewise
	change    func(*x509.Certificate)
}

// forge returns a chain that is in order, with another leaf and issuer.
func forge(chain []byte, f forgery) []byte {
	block, _ := pem.Decode(chain)
	real, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		panic(err)
	}
	issuerKey, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	issuer := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: real.Issuer, NotBefore: real.NotBefore, NotAfter: real.NotAfter,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	last, rest := block, chain
	for block := block; block != nil; block, rest = pem.Decode(rest) {
		last = block
	}
	if top, err := x509.ParseCertificate(last.Bytes); err == nil {
		issuer.Issuer = top.Issuer
		issuer.Subject = pkix.Name{CommonName: top.Issuer.CommonName}
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: real.DNSNames, NotBefore: real.NotBefore, NotAfter: real.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if f.names != nil {
		leaf.DNSNames = f.names
	}
	if !f.notBefore.IsZero() {
		leaf.NotBefore = f.notBefore
	}
	if !f.notAfter.IsZero() {
		leaf.NotAfter = f.notAfter
	}
	if f.change != nil {
		f.change(leaf)
	}
	key := f.key
	if key == nil {
		other, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		key = other.Public()
	}
	var out bytes.Buffer
	for _, c := range []struct {
		cert *x509.Certificate
		key  crypto.PublicKey
	}{{leaf, key}, {issuer, issuerKey.Public()}} {
		der, err := x509.CreateCertificate(rand.Reader, c.cert, issuer, c.key, issuerKey)
		if err != nil {
			panic(err)
		}
		pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	return out.Bytes()
}

// leafKey returns the key of the first certificate of chain.
func leafKey(chain []byte) crypto.PublicKey {
	block, _ := pem.Decode(chain)
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		panic(err)
	}
	return leaf.PublicKey
}

func TestWrongCertificate(t *testing.T) {
	day := 24 * time.Hour
	changed := func(change func(*x509.Certificate)) func([]byte) []byte {
		return func(c []byte) []byte { return forge(c, forgery{key: leafKey(c), change: change}) }
	}
	for _, tt := range []struct {
		name   string
		change func(chain []byte) []byte
		want   string
	}{
		{"for another key", func(c []byte) []byte { return forge(c, forgery{}) }, "private key does not belong"},
		{"for other names", func(c []byte) []byte {
			return forge(c, forgery{key: leafKey(c), names: []string{"b.test"}})
		}, `lacks ["a.test"]`},
		{"for one more name", func(c []byte) []byte {
			return forge(c, forgery{key: leafKey(c), names: []string{"a.test", "evil\x1b.test"}})
		}, "has ["},
		{"expired long ago", func(c []byte) []byte {
			return forge(c, forgery{key: leafKey(c), notBefore: time.Now().Add(-90 * day), notAfter: time.Now().Add(-day)})
		}, "certificate expired at"},
		{"not valid before next week", func(c []byte) []byte {
			return forge(c, forgery{key: leafKey(c), notBefore: time.Now().Add(7 * day)})
		}, "not valid before"},
		{"for clients only", changed(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }), "lacks serverAuth"},
		{"with a wrong key usage", changed(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }), "lacks digitalSignature"},
		{"of a CA", changed(func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }), "CA:true"},
		{"with an unknown critical extension", changed(func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: []int{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}
		}), "critical extension"},
		{"with dates reversed", changed(func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(40*time.Minute), time.Now().Add(30*time.Minute)
		}), "is never valid"},
		{"on its last day", changed(func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(-90*day), time.Now().Add(time.Hour)
		}), "has almost ended"},
		{"with a chain that does not verify", func(c []byte) []byte { return append(pemOf(leafOf(c)), pemOf(leafOf(forge(c, forgery{})))...) }, "out of order"},
		{"with five seconds of life", changed(func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Minute), time.Now().Add(5*time.Second)
		}), "has almost ended"},
		{"leaf of the chain left out", func(c []byte) []byte { _, rest := pem.Decode(c); return rest }, "private key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var tr traffic
			wrong := rewrite(acmetest.PathCertificate, func(_ string, _ http.Header, body []byte) []byte { return tt.change(body) })
			g := newFixture(t, acmetest.Options{Wrap: func(next http.Handler) http.Handler { return wrong(tr.wrap(next)) }})
			req := g.request("a.test")
			_, err := g.client(t).Obtain(t.Context(), req)
			if !acme.TryNextCA(err) {
				t.Fatalf("error = %#v, want another CA to be tried", err)
			}
			wantError(t, err, tt.want, "the pair in use was left as it is")
			if got := savedOrder(req); got != "none" {
				t.Errorf("the order is kept: %s", got)
			}
			if n := tr.granted(acmetest.PathFinalize); n != 1 {
				t.Errorf("%d certificates ordered, want 1", n)
			}
		})
	}
}

// leafOf returns the first certificate of chain.
func leafOf(chain []byte) *pem.Block {
	block, _ := pem.Decode(chain)
	return block
}

func pemOf(block *pem.Block) []byte { return pem.EncodeToMemory(block) }

func reversed(chain []byte) []byte {
	var blocks [][]byte
	for block, rest := pem.Decode(chain); block != nil; block, rest = pem.Decode(rest) {
		blocks = append(blocks, pem.EncodeToMemory(block))
	}
	slices.Reverse(blocks)
	return bytes.Join(blocks, nil)
}

// A chain that can be read in one way only is read.
func TestChainAsItCame(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(chain []byte) []byte
	}{
		{"the wrong way round", reversed},
		{"text before it", func(c []byte) []byte { return append([]byte("subject=CN = a.test\nissuer=CN = ca\n"), c...) }},
		{"text between", func(c []byte) []byte {
			return bytes.ReplaceAll(c, []byte("-----BEGIN"), []byte("\n 0 s:CN = x\n-----BEGIN"))
		}},
		{"text after it", func(c []byte) []byte { return append(c, "\n# that was all\n"...) }},
		{"carriage returns", func(c []byte) []byte { return bytes.ReplaceAll(c, []byte("\n"), []byte("\r\n")) }},
		{"the leaf twice", func(c []byte) []byte { return append(pemOf(leafOf(c)), c...) }},
		{"all of it twice", func(c []byte) []byte { return append(bytes.Clone(c), c...) }},
		{"a certificate that does not belong to it", func(c []byte) []byte { return append(bytes.Clone(c), pemOf(leafOf(reversed(forge(c, forgery{}))))...) }},
		{"another name of the blocks", func(c []byte) []byte { return bytes.ReplaceAll(c, []byte(" CERTIFICATE"), []byte(" X509 CERTIFICATE")) }},
		{"without a final line end", bytes.TrimSpace},
		{"a byte order mark", func(c []byte) []byte { return append([]byte("\ufeff\n"), c...) }},
		{"binary", func(c []byte) []byte {
			var der []byte
			for block, rest := pem.Decode(c); block != nil; block, rest = pem.Decode(rest) {
				der = append(der, block.Bytes...)
			}
			return der
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var tr traffic
			change := rewrite(acmetest.PathCertificate, func(_ string, _ http.Header, body []byte) []byte { return tt.change(body) })
			g := newFixture(t, acmetest.Options{Wrap: func(next http.Handler) http.Handler { return change(tr.wrap(next)) }})
			pair, err := g.client(t).Obtain(t.Context(), g.request("a.test"))
			if err != nil {
				t.Fatal(err)
			}
			if n := tr.granted(acmetest.PathFinalize); n != 1 || len(pair.Chain) != 1 {
				t.Errorf("%d certificates ordered, %d in the chain; want 1 and 1", n, len(pair.Chain))
			}
		})
	}
}

// A certificate that is not valid by a wrong clock is kept at the CA, and fetched once
// the clock is set.
func TestWrongClock(t *testing.T) {
	const year = 365 * 24 * time.Hour
	for _, tt := range []struct {
		name  string
		ahead time.Duration // of our clock, the CA's is
	}{{"ours is slow", year}, {"ours is fast", -year}} {
		t.Run(tt.name, func(t *testing.T) {
			var tr traffic
			var healed atomic.Bool
			clock := rewrite(acmetest.PathCertificate, func(_ string, h http.Header, body []byte) []byte {
				if healed.Load() {
					return body
				}
				at := time.Now().Add(tt.ahead)
				h.Set("Date", at.UTC().Format(http.TimeFormat))
				return forge(body, forgery{key: leafKey(body), notBefore: at.Add(-time.Hour), notAfter: at.Add(time.Hour)})
			})
			g := newFixture(t, acmetest.Options{Wrap: func(next http.Handler) http.Handler { return clock(tr.wrap(next)) }})
			req := g.request("a.test")
			for range 2 {
				_, err := g.client(t).Obtain(t.Context(), req)
				if err == nil || acme.TryNextCA(err) {
					t.Fatalf("error = %v, want one after which no other CA is tried", err)
				}
				wantError(t, err, "by the CA's clock", "set this machine's clock")
			}
			healed.Store(true)
			if _, err := g.client(t).Obtain(t.Context(), req); err != nil {
				t.Fatal(err)
			}
			if n := tr.granted(acmetest.PathNewOrder); n != 1 {
				t.Errorf("%d orders, want 1", n)
			}
		})
	}
}
