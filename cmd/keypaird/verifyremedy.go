package main

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"keypaird/cmd/keypaird/config"
	"keypaird/hooks/probe"
)

const remedyUnreachable = "look again from another network: a firewall, or a router that does not lead its own address back in, may hide it from here"

// remedies of the faults that have one whatever the row.
var remedies = map[probe.Fault]string{
	probe.Expired:    "renew it: keypaird issue",
	probe.TooEarly:   "set the clock of this machine, or of the one that made the certificate",
	probe.Incomplete: "serve fullchain.pem: the certificate, then its intermediates",
	probe.Untrusted:  "have it signed by a CA that the peers trust; a private root is named by -roots FILE",
	probe.WrongUsage: "have it issued for servers",
	probe.WeakKey:    "have it issued for another key: ec256, or rsa2048 at least",
	probe.EndsSoon:   "see why it was not renewed: keypaird status",
	probe.Disorder:   "serve fullchain.pem: the certificate, then its intermediates, and nothing else",
	probe.OldTLS:     "let the server speak TLS 1.2 and 1.3",
}

// remedy says what can be done about a row's worst fault.
func (v *verifier) remedy(c *check, row *Sight, f probe.Fault, leaf *x509.Certificate) string {
	ours := row.Pair != nil && row.Pair.Target != ""
	switch f {
	case probe.WrongName:
		if t := v.keeperOf(row.Accept); t != "" {
			return fmt.Sprintf("let the server choose the pair of %s there for the name %s", t, orNone(c.sni))
		}
		return fmt.Sprintf("serve a certificate for %s there", strings.Join(row.Accept, " or "))
	case noSNIFault:
		return fmt.Sprintf("make the certificate for %s the server's default", strings.Join(row.Accept, " or "))
	case staleFault:
		if row.Pair.Whose == newer {
			return "keypaird issue " + row.Pair.Target
		}
		return fmt.Sprintf("reload the server that answers at %s, and see that its configuration names the deployed files", row.Address)
	case probe.NoTLSA:
		sum := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
		return fmt.Sprintf("publish the key that is served, at %s: 3 1 1 %s", c.uses[0].TLSA[0].Name, hex.EncodeToString(sum[:]))
	case probe.Expired, probe.EndsSoon:
		if !ours {
			return "renew it, and see why that was not done in time"
		}
	}
	return remedies[f]
}

// trustedRoots are the system's, those of the configured CAs, and those of a
// file.
func (a *app) trustedRoots(cfg *config.Config, file string) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if cfg != nil {
		for name, ca := range cfg.CA {
			if ca.Roots == "" {
				continue
			}
			pem, err := config.ReadFile(ca.Roots)
			if err != nil {
				return nil, fmt.Errorf("reading roots of [ca.%s]: %s: %w", name, ca.Roots, err)
			}
			pool.AppendCertsFromPEM(pem)
		}
	}
	if file != "" {
		pem, err := config.ReadFile(file)
		if err == nil && !pool.AppendCertsFromPEM(pem) {
			err = errors.New("no certificate in it")
		}
		if err != nil {
			return nil, fmt.Errorf("reading -roots: %s: %w", file, err)
		}
	}
	if pool.Equal(x509.NewCertPool()) {
		fmt.Fprintln(a.stderr, "keypaird: this machine has no root certificates: no chain can lead to one")
		printRemedy(a.stderr, "install them (on Debian the package ca-certificates), or name a file: -roots FILE")
	}
	return pool, nil
}
