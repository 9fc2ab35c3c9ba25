package verify

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"strings"

	"keypaird/hooks/discover"
	"keypaird/hooks/probe"
)

const remedyUnreachable = "verify from another network: a firewall, or a router without NAT loopback, may hide it from here"

const remedyUnsupported = "try a client that your peers use, such as: openssl s_client -connect HOST:PORT -servername NAME"

// remedies of faults that have the same one in every row.
var remedies = map[probe.Fault]string{
	probe.Expired:    "renew it: keypaird issue",
	probe.TooEarly:   "set the clock of this machine, or of the one that made the certificate",
	probe.Incomplete: "serve fullchain.pem: the certificate, then its intermediates",
	probe.Untrusted:  "have it signed by a CA that the peers trust; a private root is named by -roots FILE",
	probe.WrongUsage: "have it issued for servers",
	probe.WeakKey:    "have it issued for another key: ec256, or rsa2048 at least",
	probe.EndsSoon:   "see why it was not renewed: keypaird status",
	probe.Disorder:   "serve fullchain.pem: the certificate, then its intermediates, and nothing else",
	probe.NotClient:  "nothing, if your peers use dialback; else get a certificate with clientAuth, which few public CAs issue, or ask those peers for ejabberd 25.08 or dialback",
	probe.OldTLS:     "let the server speak TLS 1.2 and 1.3",
}

// remedy returns what the operator can do about a fault of a row.
func (m matcher) remedy(row *Check, f probe.Fault, leaf *x509.Certificate, tlsa []discover.TLSA) string {
	ours := row.Pair != nil && row.Pair.Target != ""
	switch f {
	case probe.WrongName:
		if t := m.targetFor(row.Accept); t != "" {
			return fmt.Sprintf("let the server choose the pair of %s there for the name %s", t, orNone(row.Name))
		}
		return fmt.Sprintf("serve a certificate for %s there", strings.Join(row.Accept, " or "))
	case noSNIFault:
		return fmt.Sprintf("make the certificate for %s the server's default", strings.Join(row.Accept, " or "))
	case staleFault:
		if row.Pair.Source == newer {
			return "keypaird issue " + row.Pair.Target
		}
		return fmt.Sprintf("reload the server that answers at %s, and see that its configuration names the deployed files", row.Address)
	case probe.NoTLSA:
		sum := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
		return fmt.Sprintf("publish the key that is served, at %s: 3 1 1 %s", tlsa[0].Name, hex.EncodeToString(sum[:]))
	case probe.Expired, probe.EndsSoon:
		if !ours {
			return "renew it, and see why that was not done in time"
		}
	}
	return remedies[f]
}
