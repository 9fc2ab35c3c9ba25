package keypair

import (
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
