package main

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"time"

	"keypaird/hooks/verify/testca"
)

// externalCert writes DIR/chain.pem and DIR/key.pem, a new pair for some names by a CA
// without ACME, and its certificate alone to DIR/cert.pem.
func (s *story) externalCert(_ bool, args []string) {
	f := flag.NewFlagSet("externalcert", flag.ContinueOnError)
	days := f.Int("days", 200, "")
	ago := f.Int("ago", 0, "")
	left := f.Duration("left", 0, "ends after so long")
	clients := f.Bool("clients", false, "for clients only")
	s.Check(f.Parse(args))
	if s.seller == nil {
		ca, err := testca.New("Seller")
		s.Check(err)
		s.seller = ca
		s.Check(s.trustRoots([]byte(pemOf(ca.Root))))
	}
	dir, names := s.MkAbs(f.Arg(0)), f.Args()[1:]
	from := time.Now().Add(-time.Minute).AddDate(0, 0, -*ago)
	until, usage := from.AddDate(0, 0, *days), x509.ExtKeyUsageServerAuth
	if *left > 0 {
		until = time.Now().Add(*left)
	}
	if *clients {
		usage = x509.ExtKeyUsageClientAuth
	}
	leaf, key, err := s.seller.Sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: from, NotAfter: until, ExtKeyUsage: []x509.ExtKeyUsage{usage},
	})
	s.Check(err)
	s.Check(errors.Join(
		os.MkdirAll(dir, 0o755),
		writePair(filepath.Join(dir, "chain.pem"), filepath.Join(dir, "key.pem"), "", key, leaf, s.seller.Intermediate),
		os.WriteFile(filepath.Join(dir, "cert.pem"), []byte(pemOf(leaf)), 0o644)))
}
