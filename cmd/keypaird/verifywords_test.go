package main

import (
	"errors"
	"flag"
	"os"
	"path/filepath"

	"keypaird/hooks/verify/testca"
	"keypaird/renew/keypair"
)

// othercert makes the pair tls/FILE.crt and tls/FILE.key for names, by a CA whose
// root is in other.pem.
func (s *story) othercert(_ bool, args []string) {
	f := flag.NewFlagSet("othercert", flag.ContinueOnError)
	ended := f.Bool("ended", false, "it has ended two days ago")
	alone := f.Bool("alone", false, "without its intermediate")
	s.Check(f.Parse(args))
	if s.otherCA == nil {
		ca, err := testca.New()
		s.Check(err)
		s.otherCA = ca
		s.Check(os.WriteFile(s.file("other.pem"), []byte(pemOf(ca.Root)), 0o644))
		s.Check(os.MkdirAll(s.file("tls"), 0o755))
	}
	leaf, key, err := s.otherCA.Issue(*ended, f.Args()[1:]...)
	s.Check(err)
	chain := pemOf(leaf)
	if !*alone {
		chain += pemOf(s.otherCA.Intermediate)
	}
	keyPEM, err := keypair.MarshalKey(key)
	base := filepath.Join(s.file("tls"), f.Arg(0))
	s.Check(errors.Join(err, os.WriteFile(base+".crt", []byte(chain), 0o644), os.WriteFile(base+".key", keyPEM, 0o600)))
}
