package acme

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"net"
	"strings"
)

// slowToMake reports whether making a key takes more than an instant: up to
// seconds.
func slowToMake(keyType string) bool { return strings.HasPrefix(keyType, "rsa") }

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
