package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"flag"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"keypaird/renew/keypair"
)

// A paperCA is a CA with an intermediate that issues what is asked for.
type paperCA struct {
	root, intermediate *x509.Certificate
	key                crypto.Signer // of the intermediate
}

// newPaperCA makes one.
func newPaperCA() (*paperCA, error) {
	_, root, rootKey, err := paperCert(&x509.Certificate{Subject: pkix.Name{CommonName: "Paper Root"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, nil)
	if err != nil {
		return nil, err
	}
	_, one, key, err := paperCert(&x509.Certificate{Subject: pkix.Name{CommonName: "Paper CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, root, rootKey)
	return &paperCA{root, one, key}, err
}

// paperCert signs what c says; without by it signs itself. It has lived for
// half of ninety days unless c says something else.
func paperCert(c, by *x509.Certificate, signer crypto.Signer) (der []byte, cert *x509.Certificate, key crypto.Signer, err error) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, nil, err
	}
	if by == nil {
		by, signer = c, ec
	}
	c.SerialNumber = big.NewInt(time.Now().UnixNano())
	if c.NotAfter.IsZero() {
		c.NotBefore, c.NotAfter = time.Now().Add(-45*24*time.Hour), time.Now().Add(45*24*time.Hour+time.Hour)
	}
	if der, err = x509.CreateCertificate(rand.Reader, c, by, ec.Public(), signer); err != nil {
		return nil, nil, nil, err
	}
	cert, err = x509.ParseCertificate(der)
	return der, cert, ec, err
}

// issue makes a leaf for names.
func (ca *paperCA) issue(ended bool, names ...string) (*x509.Certificate, crypto.Signer, error) {
	c := &x509.Certificate{
		DNSNames: names, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ended {
		c.NotBefore, c.NotAfter = time.Now().Add(-90*24*time.Hour), time.Now().Add(-49*time.Hour)
	}
	_, leaf, key, err := paperCert(c, ca.intermediate, ca.key)
	return leaf, key, err
}

// paper makes the pair tls/FILE.crt and tls/FILE.key for names, by a CA whose
// root is in paper.pem.
func (s *story) paper(_ bool, args []string) {
	f := flag.NewFlagSet("paper", flag.ContinueOnError)
	ended := f.Bool("ended", false, "it has ended two days ago")
	alone := f.Bool("alone", false, "without its intermediate")
	s.Check(f.Parse(args))
	if s.paperCA == nil {
		ca, err := newPaperCA()
		s.Check(err)
		s.paperCA = ca
		s.Check(os.WriteFile(s.file("paper.pem"), []byte(pemOf(ca.root)), 0o644))
		s.Check(os.MkdirAll(s.file("tls"), 0o755))
	}
	leaf, key, err := s.paperCA.issue(*ended, f.Args()[1:]...)
	s.Check(err)
	chain := pemOf(leaf)
	if !*alone {
		chain += pemOf(s.paperCA.intermediate)
	}
	keyPEM, err := keypair.MarshalKey(key)
	base := filepath.Join(s.file("tls"), f.Arg(0))
	s.Check(errors.Join(err, os.WriteFile(base+".crt", []byte(chain), 0o644), os.WriteFile(base+".key", keyPEM, 0o600)))
}
