package hooks

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"keypaird/renew/keypair"
)

// serial numbers the certificates of the tests.
var serial atomic.Int64

// newPair returns a pair for names that was valid from one time relative to
// now and is until another, with an issuer in its chain.
func newPair(t testing.TB, from, until time.Duration, names ...string) *keypair.Pair {
	t.Helper()
	sign := func(c, parent *x509.Certificate, pub any, key any) []byte {
		der, err := x509.CreateCertificate(rand.Reader, c, parent, pub, key)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	caKey, key := newKey(t), newKey(t)
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test issuer"},
		NotBefore: time.Now().Add(-9000 * time.Hour), NotAfter: time.Now().Add(9000 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(serial.Add(1)),
		NotBefore:    time.Now().Add(from), NotAfter: time.Now().Add(until),
	}
	for _, n := range names {
		if ip, err := netip.ParseAddr(n); err == nil {
			leaf.IPAddresses = append(leaf.IPAddresses, net.IP(ip.AsSlice()))
		} else {
			leaf.DNSNames = append(leaf.DNSNames, n)
		}
	}
	chain := append(sign(leaf, ca, key.Public(), caKey), sign(ca, ca, caKey.Public(), caKey)...)
	keyPEM, err := keypair.MarshalKey(key)
	if err != nil {
		t.Fatal(err)
	}
	p, err := keypair.Parse(chain, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// good returns a pair for names that is valid now.
func good(t *testing.T, names ...string) *keypair.Pair {
	return newPair(t, -time.Hour, 90*24*time.Hour, names...)
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
