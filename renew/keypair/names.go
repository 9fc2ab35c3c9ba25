package keypair

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"strings"
)

// Names lists the DNS names and addresses that a certificate is for: sorted, in
// one spelling and each once.
func Names(leaf *x509.Certificate) []string {
	all := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		all = append(all, ip.String())
	}
	return CanonicalNames(all)
}

// CanonicalNames returns names sorted, in one spelling and each once.
func CanonicalNames(names []string) []string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = strings.ToLower(name)
		if ip := net.ParseIP(name); ip != nil {
			out[i] = ip.String()
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Quoted lists names for a message.
func Quoted(names []string) string {
	q := make([]string, len(names))
	for i, name := range names {
		q[i] = fmt.Sprintf("%q", name)
	}
	return strings.Join(q, ", ")
}

const maxCommonName = 64 // RFC 5280, appendix A.1: ub-common-name

// CertificateRequest returns a PKCS #10 request for exactly names. A common name is in it only if
// commonName is true: CAs that set one take it from the names (RFC 8555, section 7.4), and
// there is none for a longer name.
func CertificateRequest(key crypto.Signer, names []string, commonName bool) ([]byte, error) {
	var t x509.CertificateRequest
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, name)
		}
		if commonName && t.Subject.CommonName == "" && len(name) <= maxCommonName {
			t.Subject.CommonName = name
		}
	}
	return x509.CreateCertificateRequest(rand.Reader, &t, key)
}
