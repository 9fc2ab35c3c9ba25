package main

import (
	"crypto/x509"
	"flag"
	"os"

	"keypaird/hooks/verify/testca"
)

// paper makes the pair tls/FILE.crt and tls/FILE.key for names, by a CA whose
// root is in paper.pem.
func (s *story) paper(_ bool, args []string) {
	f := flag.NewFlagSet("paper", flag.ContinueOnError)
	ended := f.Bool("ended", false, "it has ended two days ago")
	alone := f.Bool("alone", false, "without its intermediate")
	s.Check(f.Parse(args))
	if s.paperCA == nil {
		ca, err := testca.New("Paper")
		s.Check(err)
		s.paperCA = ca
		s.Check(os.WriteFile(s.file("paper.pem"), []byte(pemOf(ca.Root)), 0o644))
		s.Check(os.MkdirAll(s.file("tls"), 0o755))
	}
	leaf, key, err := s.paperCA.Issue(*ended, f.Args()[1:]...)
	s.Check(err)
	chain := []*x509.Certificate{leaf}
	if !*alone {
		chain = append(chain, s.paperCA.Intermediate)
	}
	base := s.file("tls", f.Arg(0))
	s.Check(writePair(base+".crt", base+".key", "", key, chain...))
}
