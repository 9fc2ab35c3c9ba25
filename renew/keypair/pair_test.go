package keypair

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"
)

// An input is a chain and a key, and what Parse says to them.
type input struct {
	name       string
	chain, key []byte
	want       string // part of the error; empty: accepted
}

func inputs(t *testing.T) []input {
	ca, other := newCA(t), newCA(t)
	key := newKey(t)
	leaf := ca.leaf(t, key, "example.org")
	pkcs8 := keyPEM(t, key)
	sec1der, err := x509.MarshalECPrivateKey(key)
	must(t, err)
	sec1 := block("EC PRIVATE KEY", sec1der)
	params := block("EC PARAMETERS", []byte{6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7})
	good := pems(leaf, ca.inter)
	join := func(parts ...string) []byte { return []byte(strings.Join(parts, "")) }
	crlf := func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n")) }
	many := bytes.Repeat(pems(ca.inter), maxCertificates)

	return []input{
		{"leaf and intermediate", good, pkcs8, ""},
		{"leaf alone", pems(leaf), pkcs8, ""},
		{"root at the end", pems(leaf, ca.inter, ca.root), pkcs8, ""},
		{"SEC 1 key", good, sec1, ""},
		{"SEC 1 key with its curve before it", good, join(string(params), string(sec1)), ""},
		{"Windows line ends", crlf(good), crlf(pkcs8), ""},
		{"blank lines and no newline at the end", bytes.TrimSpace(join(string(pems(leaf)), "\n\r\n  \n", string(pems(ca.inter)))), pkcs8, ""},
		{"empty chain", nil, pkcs8, "certificate chain: empty"},
		{"empty key", good, []byte("\n"), "private key: empty"},
		{"key of another certificate", good, keyPEM(t, newKey(t)), "does not belong"},
		{"issuer first", pems(ca.inter, leaf), pkcs8, "belongs to certificate 2, not to the first"},
		{"root before intermediate", pems(leaf, ca.root, ca.inter), pkcs8, "certificate 2 does not sign certificate 1"},
		{"intermediate of another CA", pems(leaf, other.inter), pkcs8, "certificate 2 does not sign certificate 1"},
		{"leaf twice", pems(leaf, leaf, ca.inter), pkcs8, "certificate 2 repeats certificate 1"},
		{"root twice", pems(leaf, ca.inter, ca.root, ca.root), pkcs8, "certificate 4 repeats certificate 3"},
		{"chain cut in the middle of a block", good[:len(good)-40], pkcs8, "no end: truncated"},
		{"chain cut in the last line", good[:len(good)-3], pkcs8, "certificate 2: PEM block cannot be read"},
		{"chain cut between blocks", good[:len(pems(leaf))+30], pkcs8, "no end: truncated"},
		{"key cut short", good, pkcs8[:len(pkcs8)/2], "private key: PEM block at line 1 has no end"},
		{"zeros after the chain", append(bytes.Clone(good), 0, 0, 0), pkcs8, "outside of any PEM block"},
		{"text after the chain", join(string(good), "bye\n"), pkcs8, "outside of any PEM block"},
		{"text before the chain", join("subject=example.org\n", string(good)), pkcs8, "line 1 is outside of any PEM block"},
		{"half a block before a whole one", join("-----BEGIN CERTIFICATE-----\nMIIB\n", string(good)), pkcs8, "certificate 1: PEM block cannot be read"},
		{"byte order mark", join("\ufeff", string(good)), pkcs8, "line 1 is outside of any PEM block"},
		{"key among the certificates", join(string(good), string(pkcs8)), pkcs8, `certificate 3: PEM block is a "PRIVATE KEY"`},
		{"certificate as key", good, good[:len(pems(leaf))], "is not a private key"},
		{"two keys", good, join(string(pkcs8), string(sec1)), "2 PEM blocks where one key was expected"},
		{"encrypted key", good, block("ENCRYPTED PRIVATE KEY", sec1der), "encrypted: decrypt it first"},
		{"old encrypted key", good, []byte("-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END EC PRIVATE KEY-----\n"), "encrypted: decrypt it first"},
		{"key with something behind it", good, block("PRIVATE KEY", append(bytes.Clone(sec1der), 1)), "exactly one value"},
		{"not a certificate inside", block("CERTIFICATE", []byte("hello")), pkcs8, "certificate 1: "},
		{"PEM headers on a certificate", bytes.Replace(good, []byte("-----\n"), []byte("-----\nA: b\n\n"), 1), pkcs8, "PEM block has headers"},
		{"too many certificates", join(string(pems(leaf)), string(many)), pkcs8, "17 certificates, more than 16"},
		{"huge chain", bytes.Repeat([]byte("\n"), maxChainBytes+1), pkcs8, "larger than 256 KiB"},
		{"huge key", good, bytes.Repeat([]byte("\n"), maxKeyBytes+1), "larger than 16 KiB"},
	}
}

func TestParse(t *testing.T) {
	for _, tt := range inputs(t) {
		t.Run(tt.name, func(t *testing.T) {
			p, err := Parse(tt.chain, tt.key)
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
					t.Fatalf("Parse: %v, want one line with %q", err, tt.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			again, err := Parse(p.FullChain(), p.Key())
			if err != nil || again.Fingerprint() != p.Fingerprint() || len(again.Chain) != len(p.Chain) {
				t.Errorf("what Parse accepted does not read back: %v", err)
			}
		})
	}
}

func TestParseHugeRSA(t *testing.T) {
	ca := newCA(t)
	key := newKey(t)
	leaf := ca.leaf(t, key, "example.org")
	huge := &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), maxRSABits, 1), E: 65537}
	template := *ca.inter
	template.PublicKey, template.PublicKeyAlgorithm, template.SignatureAlgorithm = nil, 0, 0
	issuer := sign(t, template, ca.root, huge, ca.rootKey)
	_, err := Parse(pems(leaf, issuer), keyPEM(t, key))
	if err == nil || !strings.Contains(err.Error(), "RSA key of 16385 bits") {
		t.Errorf("Parse: %v, want a refusal of the RSA key", err)
	}
}

func TestPairParts(t *testing.T) {
	ca := newCA(t)
	key := newKey(t)
	leaf := ca.leaf(t, key, "b.example.org", "A.example.org", "2001:db8::1", "192.0.2.1", "xmpp:example.org")
	p, err := Parse(pems(leaf, ca.inter, ca.root), keyPEM(t, key))
	must(t, err)
	for _, tt := range []struct {
		name      string
		got, want []byte
	}{
		{"cert", p.Cert(), pems(leaf)},
		{"chain", p.ChainPEM(), pems(ca.inter, ca.root)},
		{"full chain", p.FullChain(), pems(leaf, ca.inter, ca.root)},
		{"key", p.Key(), keyPEM(t, key)},
		{"combined, key first", p.Combined(), append(keyPEM(t, key), pems(leaf, ca.inter, ca.root)...)},
	} {
		if !bytes.Equal(tt.got, tt.want) {
			t.Errorf("%s = %s, want %s", tt.name, tt.got, tt.want)
		}
	}
	p.Key()[0], p.Cert()[0], p.Combined()[0] = 'X', 'X', 'X'
	if p.Key()[0] != '-' || p.Cert()[0] != '-' || p.Combined()[0] != '-' {
		t.Error("a caller could change the pair")
	}
	want := []string{"192.0.2.1", "2001:db8::1", "a.example.org", "b.example.org", "xmpp:example.org"}
	if got := p.Names(); !slices.Equal(got, want) {
		t.Errorf("Names = %q, want %q", got, want)
	}
	if fp := p.Fingerprint(); len(fp) != 64 || fp != strings.ToLower(fp) {
		t.Errorf("Fingerprint = %q", fp)
	}
}

func TestKeyType(t *testing.T) {
	ca := newCA(t)
	ec := func(c elliptic.Curve) crypto.Signer {
		k, err := ecdsa.GenerateKey(c, rand.Reader)
		must(t, err)
		return k
	}
	rs := func(bits int) crypto.Signer {
		k, err := rsa.GenerateKey(rand.Reader, bits)
		must(t, err)
		return k
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	for _, tt := range []struct {
		want string
		key  crypto.Signer
	}{
		{"ec256", ec(elliptic.P256())},
		{"ec384", ec(elliptic.P384())},
		{"", ec(elliptic.P521())},
		{"rsa2048", rs(2048)},
		{"rsa3072", rs(3072)},
		{"", rs(1536)},
		{"", ed},
	} {
		p, err := Parse(pems(ca.leaf(t, tt.key, "example.org"), ca.inter), keyPEM(t, tt.key))
		if err != nil {
			t.Errorf("%T: %v", tt.key, err)
			continue
		}
		if got := p.KeyType(); got != tt.want {
			t.Errorf("KeyType of %T = %q, want %q", tt.key, got, tt.want)
		}
		if k, ok := tt.key.(*rsa.PrivateKey); ok {
			pkcs1 := block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(k))
			if got, err := ParseKey(pkcs1); err != nil || !k.Equal(got) {
				t.Errorf("ParseKey of PKCS#1: %v", err)
			}
		}
	}
}

func TestCheck(t *testing.T) {
	ca := newCA(t)
	p := ca.pair(t, "example.org", "*.Example.org", "192.0.2.1", "2001:db8::1")
	names := []string{"example.org", "*.example.org", "192.0.2.1", "2001:db8::1"}
	now := time.Now()
	for _, tt := range []struct {
		name  string
		names []string
		now   time.Time
		want  string
	}{
		{"as ordered", names, now, ""},
		{"other case, other spelling of addresses, other order", []string{"2001:DB8:0::1", "::ffff:192.0.2.1", "*.EXAMPLE.org", "Example.Org"}, now, ""},
		{"a name twice", append(names, "EXAMPLE.org"), now, ""},
		{"a name more is wanted", append(names, "www.example.org"), now, `lacks ["www.example.org"]`},
		{"a name less is wanted", names[1:], now, `has ["example.org"], which was not asked for`},
		{"another name is wanted", append([]string{"example.net"}, names[1:]...), now, `lacks ["example.net"] and has ["example.org"]`},
		{"clock 59 minutes behind", names, p.Leaf.NotBefore.Add(-59 * time.Minute), ""},
		{"clock 61 minutes behind", names, p.Leaf.NotBefore.Add(-61 * time.Minute), "is not valid before"},
		{"last second", names, p.Leaf.NotAfter.Add(-time.Second), ""},
		{"expired", names, p.Leaf.NotAfter, "expired at"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := p.Check(tt.names, tt.now)
			if tt.want == "" {
				must(t, err)
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("Check: %v, want %q", err, tt.want)
			}
			var r interface{ Remedy() string }
			if !errors.As(err, &r) || r.Remedy() == "" {
				t.Errorf("%v has no remedy", err)
			}
		})
	}
}

// What clients refuse, or what has almost ended, takes no pair's place. A pair in
// the store that is so goes on being served: Check lets it.
func TestCheckNew(t *testing.T) {
	ca, key := newCA(t), newKey(t)
	now := time.Now().Truncate(time.Second)
	lives := func(life, left time.Duration) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = now.Add(left-life), now.Add(left) }
	}
	usage := func(u x509.KeyUsage, ext ...x509.ExtKeyUsage) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.KeyUsage, c.ExtKeyUsage = u, ext }
	}
	const day = 24 * time.Hour
	for _, tt := range []struct {
		name   string
		change func(*x509.Certificate)
		want   string // part of the error; "" if there is none
	}{
		{"nothing said", func(*x509.Certificate) {}, ""},
		{"for servers", usage(x509.KeyUsageDigitalSignature, x509.ExtKeyUsageServerAuth), ""},
		{"for servers and clients", usage(x509.KeyUsageDigitalSignature, x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth), ""},
		{"for everything", usage(x509.KeyUsageDigitalSignature, x509.ExtKeyUsageAny), ""},
		{"RSA's two key usages", usage(x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment), ""},
		{"for clients", usage(x509.KeyUsageDigitalSignature, x509.ExtKeyUsageClientAuth), "lacks serverAuth"},
		{"for something unknown", func(c *x509.Certificate) { c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{{1, 2, 3}} }, "lacks serverAuth"},
		{"to sign lists", usage(x509.KeyUsageCRLSign, x509.ExtKeyUsageServerAuth), "lacks digitalSignature"},
		{"to encipher keys", usage(x509.KeyUsageKeyEncipherment), "lacks digitalSignature"},
		{"of a CA", func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }, "CA:true"},
		{"unknown extension", func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: []int{1, 2, 3, 4}, Value: []byte{5, 0}}}
		}, ""},
		{"unknown critical extension", func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: []int{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}
		}, "critical extension that clients do not know: 1.2.3.4"},
		{"dates reversed", func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = now.Add(40*time.Minute), now.Add(30*time.Minute)
		}, "is never valid"},
		{"90 days, a day left", lives(90*day, day), ""},
		{"90 days, its last day", lives(90*day, day-time.Second), "has almost ended"},
		{"10 days, 12 hours left", lives(10*day, 12*time.Hour), ""},
		{"10 days, less than 12 hours left", lives(10*day, 12*time.Hour-time.Second), "has almost ended"},
		{"5 minutes, new", lives(5*time.Minute, 5*time.Minute), ""},
		{"5 minutes, dated back by an hour", lives(65*time.Minute, 5*time.Minute), ""},
		{"5 minutes, 15 seconds left", lives(5*time.Minute, 15*time.Second), ""},
		{"5 minutes, 14 seconds left", lives(5*time.Minute, 14*time.Second), "has almost ended"},
		{"expired", lives(90*day, -time.Second), "expired at"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			leaf := ca.odd(t, key, tt.change)
			p, err := Parse(pems(leaf, ca.inter), keyPEM(t, key))
			must(t, err)
			err = p.CheckNew(leaf.DNSNames, now)
			if tt.want == "" {
				must(t, err)
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("CheckNew: %v, want %q", err, tt.want)
			}
			if stored := p.Check(leaf.DNSNames, now); stored != nil && tt.name != "expired" {
				t.Errorf("stored: %v", stored)
			}
		})
	}
}

func TestCheckKinds(t *testing.T) {
	ca := newCA(t)
	key := newKey(t)
	leaf := ca.leaf(t, key, "192.0.2.1")
	leaf.DNSNames, leaf.IPAddresses = []string{"192.0.2.1"}, nil
	p, err := Parse(pems(ca.leaf(t, key, "192.0.2.1")), keyPEM(t, key))
	must(t, err)
	p.Leaf = leaf
	if err := p.Check([]string{"192.0.2.1"}, time.Now()); err == nil {
		t.Error("a DNS name that looks like an address was taken for the address")
	}
}

// FuzzParse holds Parse to its word: what it accepts reads back the same, and
// no block of the input is missing from it.
func FuzzParse(f *testing.F) {
	ca := newCA(f)
	key := newKey(f)
	leaf := ca.leaf(f, key, "example.org")
	chain, pkcs8 := pems(leaf, ca.inter, ca.root), keyPEM(f, key)
	sec1, err := x509.MarshalECPrivateKey(key)
	must(f, err)
	crlf := bytes.ReplaceAll(chain, []byte("\n"), []byte("\r\n"))
	f.Add(chain, pkcs8)
	f.Add(crlf, bytes.ReplaceAll(pkcs8, []byte("\n"), []byte("\r\n")))
	f.Add(pems(leaf), block("EC PRIVATE KEY", sec1))
	f.Add(chain[:len(chain)/2], pkcs8)
	f.Add(append(bytes.Clone(chain), "garbage"...), pkcs8[:20])
	f.Add(append(bytes.Clone(chain), pkcs8...), pkcs8)
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----"), []byte("-----BEGIN PRIVATE KEY-----"))
	f.Add([]byte{}, []byte{0})
	f.Fuzz(func(t *testing.T, chain, key []byte) {
		p, err := Parse(chain, key)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error of several lines: %q", err)
			}
			return
		}
		if n := bytes.Count(chain, []byte("-----BEGIN ")); n != 1+len(p.Chain) {
			t.Errorf("%d blocks became %d certificates", n, 1+len(p.Chain))
		}
		again, err := Parse(p.FullChain(), p.Key())
		if err != nil {
			t.Fatalf("reading back: %v", err)
		}
		if again.Fingerprint() != p.Fingerprint() || !bytes.Equal(again.Combined(), p.Combined()) {
			t.Error("reads back differently")
		}
	})
}
