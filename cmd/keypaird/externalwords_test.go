package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"flag"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"keypaird/renew/keypair"
)

// A seller is a CA without ACME. It sells through an intermediate.
type seller struct {
	root, inter       *x509.Certificate
	rootKey, interKey *ecdsa.PrivateKey
}

// buy writes DIR/chain.pem and DIR/key.pem, a new pair of the seller's for some
// names, and its certificate alone to DIR/cert.pem.
func (s *story) buy(_ bool, args []string) {
	f := flag.NewFlagSet("buy", flag.ContinueOnError)
	days := f.Int("days", 200, "")
	ago := f.Int("ago", 0, "")
	left := f.Duration("left", 0, "ends after so long")
	clients := f.Bool("clients", false, "for clients only")
	s.Check(f.Parse(args))
	if s.world.seller == nil {
		s.world.seller = &seller{}
		s.Check(s.world.seller.open(s.MkAbs("trust.pem")))
	}
	dir := s.MkAbs(f.Arg(0))
	from := time.Now().Add(-time.Minute).AddDate(0, 0, -*ago)
	until, usage := from.AddDate(0, 0, *days), x509.ExtKeyUsageServerAuth
	if *left > 0 {
		until = time.Now().Add(*left)
	}
	if *clients {
		usage = x509.ExtKeyUsageClientAuth
	}
	s.Check(errors.Join(
		os.MkdirAll(dir, 0o755),
		s.world.seller.sell(dir, from, until, usage, f.Args()[1:])))
}

// open makes the CA, and adds its root to those that are trusted.
func (c *seller) open(trust string) (err error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Seller Root"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().AddDate(-1, 0, 0), NotAfter: time.Now().AddDate(10, 0, 0), KeyUsage: x509.KeyUsageCertSign,
	}
	if c.rootKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return err
	}
	if c.root, err = certify(template, template, &c.rootKey.PublicKey, c.rootKey); err != nil {
		return err
	}
	if c.interKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return err
	}
	template.Subject.CommonName = "Seller Intermediate"
	if c.inter, err = certify(template, c.root, &c.interKey.PublicKey, c.rootKey); err != nil {
		return err
	}
	file, err := os.OpenFile(trust, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(blockOf(c.root))
	return errors.Join(err, file.Close())
}

func (c *seller) sell(dir string, from, until time.Time, usage x509.ExtKeyUsage, names []string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	leaf, err := certify(&x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: from, NotAfter: until, ExtKeyUsage: []x509.ExtKeyUsage{usage},
	}, c.inter, &key.PublicKey, c.interKey)
	if err != nil {
		return err
	}
	keyPEM, err := keypair.MarshalKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "chain.pem"), append(blockOf(leaf), blockOf(c.inter)...), 0o644),
		os.WriteFile(filepath.Join(dir, "key.pem"), keyPEM, 0o600),
		os.WriteFile(filepath.Join(dir, "cert.pem"), blockOf(leaf), 0o644))
}

func certify(template, parent *x509.Certificate, public *ecdsa.PublicKey, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func blockOf(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}
