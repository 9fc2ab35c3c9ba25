package testca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"time"
)

// A CA signs with its intermediate.
type CA struct {
	Root, Intermediate *x509.Certificate
	Key                crypto.Signer // of Intermediate
}

// New makes a CA with the common names "NAME Root" and "NAME CA".
func New(name string) (*CA, error) {
	_, root, rootKey, err := sign(&x509.Certificate{Subject: pkix.Name{CommonName: name + " Root"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, nil)
	if err != nil {
		return nil, err
	}
	_, one, key, err := sign(&x509.Certificate{Subject: pkix.Name{CommonName: name + " CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, root, rootKey)
	return &CA{root, one, key}, err
}

// sign signs what c says; without by it signs itself. It has lived for
// half of ninety days unless c says something else.
func sign(c, by *x509.Certificate, signer crypto.Signer) (der []byte, cert *x509.Certificate, key crypto.Signer, err error) {
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

// Issue returns a leaf for names with its key; ended: it ended two days ago.
func (ca *CA) Issue(ended bool, names ...string) (*x509.Certificate, crypto.Signer, error) {
	c := &x509.Certificate{
		DNSNames: names, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ended {
		c.NotBefore, c.NotAfter = time.Now().Add(-90*24*time.Hour), time.Now().Add(-49*time.Hour)
	}
	return ca.Sign(c)
}

// Sign returns the leaf that a template describes, with its key.
func (ca *CA) Sign(template *x509.Certificate) (*x509.Certificate, crypto.Signer, error) {
	_, leaf, key, err := sign(template, ca.Intermediate, ca.Key)
	return leaf, key, err
}
