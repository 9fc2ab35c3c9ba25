package tlsalpn01

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"keypaird/renew/textfmt"
)

// Protocol is the ALPN protocol of the challenge.
const Protocol = "acme-tls/1"

// acmeIdentifier is the extension that holds the hash of the key authorization.
var acmeIdentifier = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 31}

// serverName returns the name that a CA asks for in the handshake: that of an address
// is the one of its PTR record (RFC 8738, section 6).
func serverName(identifier string) string {
	ip, err := netip.ParseAddr(identifier)
	if err != nil {
		return strings.ToLower(identifier)
	}
	labels, zone := []string{}, "in-addr.arpa"
	if ip.Is4() {
		for _, b := range ip.AsSlice() {
			labels = append(labels, strconv.Itoa(int(b)))
		}
	} else {
		for _, c := range strings.ReplaceAll(ip.StringExpanded(), ":", "") {
			labels = append(labels, string(c))
		}
		zone = "ip6.arpa"
	}
	slices.Reverse(labels)
	return strings.Join(append(labels, zone), ".")
}

// isServerName reports whether a name that a peer asks for may be the name of a file.
func isServerName(s string) bool {
	const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789-_."
	return s != "" && len(s) <= 253 && s[0] != '.' && strings.Trim(s, alphabet) == ""
}

// extension returns the acmeIdentifier extension for a key authorization.
func extension(keyAuth string) (pkix.Extension, error) {
	sum := sha256.Sum256([]byte(keyAuth))
	value, err := asn1.Marshal(sum[:])
	return pkix.Extension{Id: acmeIdentifier, Critical: true, Value: value}, err
}

// certificate makes the certificate that answers a challenge, with a key of its own.
func certificate(identifier, keyAuth string) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	hash, err := extension(keyAuth)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ACME challenge"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		ExtraExtensions: []pkix.Extension{hash},
	}
	if ip, err := netip.ParseAddr(identifier); err == nil {
		template.IPAddresses = append(template.IPAddresses, ip.AsSlice())
	} else {
		template.DNSNames = []string{identifier}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// check returns why the certificate that a server shows is not the response to a
// challenge, as a CA would.
func check(state tls.ConnectionState, identifier, keyAuth string) error {
	if state.NegotiatedProtocol != Protocol {
		return errors.New("the server does not choose " + Protocol + " by ALPN")
	}
	if len(state.PeerCertificates) == 0 {
		return errors.New("the server shows no certificate")
	}
	leaf := state.PeerCertificates[0]
	names := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	want, err := extension(keyAuth)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(leaf.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(acmeIdentifier) })
	switch {
	case i < 0:
		return fmt.Errorf("the certificate there is for %s and answers no challenge", textfmt.OneLine(strings.Join(names, ", "), 200))
	case !slices.Equal(names, []string{identifier}):
		return fmt.Errorf("the certificate there answers a challenge of %s", textfmt.OneLine(strings.Join(names, ", "), 200))
	case !leaf.Extensions[i].Critical || !bytes.Equal(leaf.Extensions[i].Value, want.Value):
		return errors.New("the certificate there answers another challenge")
	}
	return nil
}
