package main

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"strings"

	"keypaird/renew/keypair"
)

// writePair writes a key and the chain of its certificate, after a comment.
func writePair(chainFile, keyFile, comment string, key crypto.Signer, chain ...*x509.Certificate) error {
	keyPEM, err := keypair.MarshalKey(key)
	return errors.Join(err,
		os.WriteFile(chainFile, []byte(comment+pemOf(chain...)), 0o644),
		os.WriteFile(keyFile, keyPEM, 0o600))
}

func pemOf(chain ...*x509.Certificate) string {
	var b strings.Builder
	for _, c := range chain {
		pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
	}
	return b.String()
}

// certificate returns the first certificate in text.
func certificate(text string) string {
	const begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
	_, rest, _ := strings.Cut(text, begin)
	base64, _, ok := strings.Cut(rest, end)
	if !ok {
		return ""
	}
	return strings.TrimSpace(base64)
}

// commonName returns that of the first certificate in text, or "".
func commonName(text []byte) string {
	block, _ := pem.Decode(text)
	if block == nil {
		return ""
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return ""
	}
	return c.Subject.CommonName
}
