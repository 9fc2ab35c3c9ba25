package probe

import (
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"keypaird/renew/textfmt"
)

// Expect contains the requirements of peers.
type Expect struct {
	Now        time.Time
	Names      []string            // one of these must match; empty: any name
	NoWildcard bool                // they reject wildcards
	Client     bool                // the server uses it as a client too
	Roots      *x509.CertPool      // trust anchors; nil: the system's
	Known      []*x509.Certificate // known intermediates of the chain
	TLSA       []TLSA              // DANE: one of these must match; if none is usable, PKIX applies
}

// A Fault is a kind of problem of a chain.
type Fault string

// Faults.
const (
	WrongName  Fault = "name"          // it has other names
	Expired    Fault = "expired"       // it or an intermediate has expired
	TooEarly   Fault = "not-yet-valid" // it is not valid yet
	Incomplete Fault = "incomplete"    // intermediates are missing
	Untrusted  Fault = "untrusted"     // it leads to no trusted root
	WrongUsage Fault = "usage"         // it is not for servers
	WeakKey    Fault = "weak-key"      // its key is too short
	NoTLSA     Fault = "dane"          // it matches no TLSA record

	EndsSoon Fault = "ends-soon" // it should have been renewed
	Disorder Fault = "disorder"  // the chain has unrelated certificates or is out of order
	OldTLS   Fault = "old-tls"   // the server does not support TLS 1.2

	NotClient Fault = "client-usage" // it is not for clients
)

// A Severity is the effect of a fault on peers.
type Severity int

// Severities.
const (
	Warning Severity = iota // some peers reject it, or all will
	Fatal                   // all peers that verify reject it
)

// Severity returns the severity of a fault.
func (f Fault) Severity() Severity {
	switch f {
	case EndsSoon, Disorder, NotClient:
		return Warning
	}
	return Fatal
}

// An Issue is a fault and its description, a predicate without a subject.
type Issue struct {
	Fault Fault  `json:"fault"`
	Text  string `json:"text"`
}

func (f Issue) fatal() bool { return f.Fault.Severity() == Fatal }

// maxChain bounds how many certificates of a chain are checked.
const maxChain = 32

// Check lists the issues of a result, the most severe first.
func Check(s Result, e Expect) []Issue {
	chain := s.Chain[:min(len(s.Chain), maxChain)]
	leaf := chain[0]
	list, strict := checkDANE(chain, e)
	if !strict {
		list = slices.Concat(names(leaf, e.Names, e.NoWildcard), dates(leaf, e.Now), trust(chain, e, e.Roots), usage(leaf))
	}
	list = slices.Concat(list, weakness(leaf))
	if s.Version < tls.VersionTLS12 {
		list = append(list, Issue{OldTLS, "is served with " + tls.VersionName(s.Version) + ", which most peers refuse"})
	}
	if e.Client && !serves(leaf, x509.ExtKeyUsageClientAuth) {
		list = append(list, Issue{NotClient, "is not for clients: some servers refuse the connections that this one makes"})
	}
	slices.SortStableFunc(list, func(a, b Issue) int { return int(b.Fault.Severity() - a.Fault.Severity()) })
	return list
}

// names checks that a certificate is for one of names.
func names(leaf *x509.Certificate, names []string, noWildcard bool) []Issue {
	for _, name := range names {
		if IsFor(leaf, name, noWildcard) {
			return nil
		}
	}
	if len(names) == 0 {
		return nil
	}
	text := fmt.Sprintf("is for %s, not for %s", ListNames(leaf), strings.Join(names, " or "))
	has := func(name string) bool {
		return slices.ContainsFunc(leaf.DNSNames, func(n string) bool { return strings.EqualFold(n, name) })
	}
	for _, name := range names {
		_, parent, _ := strings.Cut(name, ".")
		switch {
		case has("*." + name):
			text += ": a wildcard is not for the domain itself"
		case noWildcard && has("*."+parent):
			text += ": these peers take no wildcard (RFC 5922, 7.2)"
		case len(leaf.DNSNames) == 0 && strings.EqualFold(leaf.Subject.CommonName, name):
			text += ": peers do not read its common name any more"
		default:
			continue
		}
		break
	}
	return []Issue{{WrongName, text}}
}

// IsFor reports whether a certificate is for a name or an IP address.
func IsFor(leaf *x509.Certificate, name string, noWildcard bool) bool {
	if leaf.VerifyHostname(name) != nil {
		return false
	}
	if _, err := netip.ParseAddr(name); err == nil || !noWildcard {
		return true
	}
	return slices.ContainsFunc(leaf.DNSNames, func(n string) bool { return strings.EqualFold(n, name) })
}

// maxListed is how many names of a certificate are listed.
const maxListed = 4

// ListNames lists the names of a certificate, shortened and printable.
func ListNames(leaf *x509.Certificate) string {
	list := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		list = append(list, ip.String())
	}
	if len(list) == 0 {
		return "no name"
	}
	more := ""
	if n := len(list) - maxListed; n > 0 {
		list, more = list[:maxListed], fmt.Sprintf(" and %d more", n)
	}
	for i, name := range list {
		list[i] = textfmt.OneLine(name, 253)
	}
	return strings.Join(list, ", ") + more
}

// subject returns a short, printable name of a certificate.
func subject(c *x509.Certificate) string {
	name := c.Subject.CommonName
	if name == "" && len(c.Subject.Organization) > 0 {
		name = c.Subject.Organization[0]
	}
	if name == "" {
		return ListNames(c)
	}
	return fmt.Sprintf("%q", textfmt.OneLine(name, 64))
}

// Issuer returns a short, printable name of a certificate's issuer.
func Issuer(c *x509.Certificate) string {
	return subject(&x509.Certificate{Subject: c.Issuer})
}

// dates compares a certificate with the clock.
func dates(leaf *x509.Certificate, now time.Time) []Issue {
	left := leaf.NotAfter.Sub(now)
	switch {
	case now.Before(leaf.NotBefore):
		return []Issue{{TooEarly, "is not valid before " + day(leaf.NotBefore)}}
	case left < 0:
		return []Issue{{Expired, fmt.Sprintf("ended on %s, %s ago", day(leaf.NotAfter), Days(-left))}}
	case left < endsSoon(leaf.NotAfter.Sub(leaf.NotBefore)):
		return []Issue{{EndsSoon, fmt.Sprintf("ends on %s, in %s: it should have been renewed", day(leaf.NotAfter), Days(left))}}
	}
	return nil
}

// endsSoon returns the remaining lifetime below which a certificate should have
// been renewed, at most a sixth of its life.
func endsSoon(life time.Duration) time.Duration { return min(life/6, 14*24*time.Hour) }

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }

// Days formats a duration in days, hours or minutes.
func Days(d time.Duration) string {
	n, unit := int(d/(24*time.Hour)), "day"
	switch {
	case n >= 2:
	case d >= time.Hour:
		n, unit = int(d/time.Hour), "hour"
	default:
		n, unit = int(d/time.Minute), "minute"
	}
	if n != 1 {
		unit += "s"
	}
	return fmt.Sprintf("%d %s", n, unit)
}

// usage checks the key usages of a certificate.
func usage(leaf *x509.Certificate) []Issue {
	if !serves(leaf, x509.ExtKeyUsageServerAuth) {
		return []Issue{{WrongUsage, "is not for servers: its extended key usage lacks serverAuth"}}
	}
	if leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return []Issue{{WrongUsage, "may not sign handshakes: its key usage lacks digitalSignature"}}
	}
	return nil
}

// serves reports whether a certificate has the extended key usage.
func serves(leaf *x509.Certificate, how x509.ExtKeyUsage) bool {
	if len(leaf.ExtKeyUsage) == 0 && len(leaf.UnknownExtKeyUsage) == 0 {
		return true
	}
	return slices.Contains(leaf.ExtKeyUsage, how) || slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny)
}

// weakness checks the size of the key.
func weakness(leaf *x509.Certificate) []Issue {
	if key, ok := leaf.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < 2048 {
		return []Issue{{WeakKey, fmt.Sprintf("has an RSA key of %d bits: 2048 are the least", key.N.BitLen())}}
	}
	return nil
}
