package pairtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"sync"
	"time"

	"keypaird/renew/keypair"
)

// A root signs the certificates of all tests.
var root = sync.OnceValue(func() *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test Root"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return &authority{cert, key}
})

type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Issue makes a pair for names, signed by the root of all tests.
func Issue(names []string, from time.Time, life time.Duration) (*keypair.Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return IssueFor(key, names, from, life)
}

// IssueFor makes the pair of a key.
func IssueFor(key crypto.Signer, names []string, from time.Time, life time.Duration) (*keypair.Pair, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 64))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, DNSNames: names, NotBefore: from, NotAfter: from.Add(life), KeyUsage: x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, root().cert, key.Public(), root().key)
	if err != nil {
		return nil, err
	}
	keyPEM, err := keypair.MarshalKey(key)
	if err != nil {
		return nil, err
	}
	chain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return keypair.Parse(append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root().cert.Raw})...), keyPEM)
}
