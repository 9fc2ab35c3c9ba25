package main

import (
	"crypto/x509"
	"flag"
	"os"

	"keypaird/hooks/verify/testca"
)

// othercert makes the pair tls/FILE.crt and tls/FILE.key for names, by a CA whose
// root is in other.pem.
func (s *story) othercert(_ bool, args []string) {
	f := flag.NewFlagSet("othercert", flag.ContinueOnError)
	ended := f.Bool("ended", false, "it has ended two days ago")
	alone := f.Bool("alone", false, "without its intermediate")
	s.Check(f.Parse(args))
	if s.otherCA == nil {
		ca, err := testca.New("Other")
		s.Check(err)
		s.otherCA = ca
		s.Check(os.WriteFile(s.file("other.pem"), []byte(pemOf(ca.Root)), 0o644))
		s.Check(os.MkdirAll(s.file("tls"), 0o755))
	}
	leaf, key, err := s.otherCA.Issue(*ended, f.Args()[1:]...)
	s.Check(err)
	chain := []*x509.Certificate{leaf}
	if !*alone {
		chain = append(chain, s.otherCA.Intermediate)
	}
	base := s.file("tls", f.Arg(0))
	s.Check(writePair(base+".crt", base+".key", "", key, chain...))
}
