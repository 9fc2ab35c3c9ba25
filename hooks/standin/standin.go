package standin

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"time"

	"keypaird/renew/keypair"
)

// subject is the common name of every stand-in.
const subject = "keypaird stand-in"

// lifetime is how long a stand-in is valid.
const lifetime = 30 * 24 * time.Hour

// maxFile bounds how much of a file is read.
const maxFile = 1 << 20

// New returns a stand-in for names with a key of a type.
func New(ctx context.Context, names []string, keyType string, now time.Time) (*keypair.Pair, error) {
	if len(names) == 0 {
		return nil, errors.New("a stand-in needs names")
	}
	key, err := keypair.NewKey(ctx, keyType)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: subject},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(lifetime),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	keyPEM, err := keypair.MarshalKey(key)
	if err != nil {
		return nil, err
	}
	return keypair.Parse(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), keyPEM)
}

// Is reports whether leaf is a stand-in.
func Is(leaf *x509.Certificate) bool {
	return leaf != nil && leaf.Subject.CommonName == subject && bytes.Equal(leaf.RawSubject, leaf.RawIssuer)
}

// In returns the stand-in in the file path; nil: there is none, or it cannot be read.
func In(path string) *x509.Certificate {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		if leaf, err := x509.ParseCertificate(block.Bytes); err == nil && Is(leaf) {
			return leaf
		}
		return nil
	}
	return nil
}
