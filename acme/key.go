package acme

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"net"
	"strings"
)

// newKey makes a key of a type the configuration knows.
func newKey(keyType string) (crypto.Signer, error) {
	switch keyType {
	case "ec256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ec384":
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "rsa2048":
		return rsa.GenerateKey(rand.Reader, 2048)
	case "rsa3072":
		return rsa.GenerateKey(rand.Reader, 3072)
	case "rsa4096":
		return rsa.GenerateKey(rand.Reader, 4096)
	}
	return nil, fmt.Errorf("key type %q is not one of ec256 ec384 rsa2048 rsa3072 rsa4096", keyType)
}

// slowToMake reports whether newKey takes more than an instant: up to seconds.
func slowToMake(keyType string) bool { return strings.HasPrefix(keyType, "rsa") }

// newKeyUntil is newKey that heeds ctx. A key that comes too late is dropped:
// nothing can stop the search for primes.
func newKeyUntil(ctx context.Context, keyType string) (crypto.Signer, error) {
	if !slowToMake(keyType) {
		return newKey(keyType)
	}
	type made struct {
		key crypto.Signer
		err error
	}
	done := make(chan made, 1)
	go func() {
		key, err := newKey(keyType)
		done <- made{key, err}
	}()
	select {
	case m := <-done:
		return m.key, m.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// csr asks for a certificate of exactly names. It has no common name: CAs that
// still set one take it from the names (RFC 8555, section 7.4).
func csr(key crypto.Signer, names []string) ([]byte, error) {
	var t x509.CertificateRequest
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, name)
		}
	}
	return x509.CreateCertificateRequest(rand.Reader, &t, key)
}
