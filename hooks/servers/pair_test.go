package servers

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"path/filepath"
	"testing"
	"time"

	"keypaird/renew/keypair"
)

// The names of every test.
const plain, host = "example.org", "chat.example.org"

// A ca signs the pairs of one test, through an intermediate: a server that
// forgets to send that is not trusted.
type ca struct {
	t            *testing.T
	file         string // the root, for clients
	root, issuer *x509.Certificate
	rootKey, key *ecdsa.PrivateKey
	chain        []byte
	issued       int64
}

func newCA(t *testing.T, dir string) *ca {
	t.Helper()
	authority := func(serial int64, name string) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(9000 * time.Hour),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		}
	}
	c := &ca{
		t: t, file: filepath.Join(dir, "ca.pem"), rootKey: ecKey(t), key: ecKey(t),
		root: authority(1, "Test Root"), issuer: authority(2, "Test Issuer"),
	}
	write(t, c.file, string(c.sign(c.root, c.root, c.rootKey.Public(), c.rootKey)))
	c.chain = c.sign(c.issuer, c.root, c.key.Public(), c.rootKey)
	return c
}

// sign returns a certificate in PEM.
func (c *ca) sign(cert, parent *x509.Certificate, pub crypto.PublicKey, by *ecdsa.PrivateKey) []byte {
	c.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, cert, parent, pub, by)
	if err != nil {
		c.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// pair returns a new pair for names.
func (c *ca) pair(names ...string) *keypair.Pair {
	c.t.Helper()
	return c.with(ecKey(c.t), names...)
}

// weak returns a pair that is whole, and whose key OpenSSL refuses to use: a
// certificate that was bought long ago may be such.
func (c *ca) weak(names ...string) *keypair.Pair {
	c.t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		c.t.Fatal(err)
	}
	return c.with(key, names...)
}

// with returns a pair with a key.
func (c *ca) with(key crypto.Signer, names ...string) *keypair.Pair {
	c.t.Helper()
	c.issued++
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(1000 + c.issued), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	keyPEM, err := keypair.MarshalKey(key)
	if err != nil {
		c.t.Fatal(err)
	}
	p, err := keypair.Parse(append(c.sign(leaf, c.issuer, key.Public(), c.key), c.chain...), keyPEM)
	if err != nil {
		c.t.Fatal(err)
	}
	return p
}

func ecKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
