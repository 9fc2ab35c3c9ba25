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

// Expect is what peers want of a certificate.
type Expect struct {
	Now        time.Time
	Names      []string            // it is for one of these; empty: names do not matter
	NoWildcard bool                // a wildcard does not do for them
	Client     bool                // the server uses it as a client too
	Roots      *x509.CertPool      // trusted; nil: the system's
	Known      []*x509.Certificate // intermediates that are known to belong into the chain
	TLSA       []TLSA              // DANE: it matches one of these; none usable: the rest counts
}

// A Fault is one kind of thing that is wrong with a chain.
type Fault string

// Faults.
const (
	WrongName  Fault = "name"          // it is for others
	Expired    Fault = "expired"       // it has ended, or one that it depends on
	TooEarly   Fault = "not-yet-valid" // it has not begun
	Incomplete Fault = "incomplete"    // certificates are missing that lead to a root
	Untrusted  Fault = "untrusted"     // it leads to no root
	WrongUsage Fault = "usage"         // it is not for servers
	WeakKey    Fault = "weak-key"      // its key is too short
	NoTLSA     Fault = "dane"          // it matches no TLSA record

	EndsSoon Fault = "ends-soon" // it should have been renewed
	Disorder Fault = "disorder"  // the chain has what does not belong there, or another order
	OldTLS   Fault = "old-tls"   // the server speaks no TLS 1.2

	NotClient Fault = "client-usage" // it is not for clients
)

// A Weight is what a fault means to peers.
type Weight int

// Weights.
const (
	Remark Weight = iota // few mind
	Risk                 // some mind, or all will
	Fatal                // all that check refuse
)

// Weight is how much a fault weighs.
func (f Fault) Weight() Weight {
	switch f {
	case NotClient:
		return Remark
	case EndsSoon, Disorder, OldTLS:
		return Risk
	}
	return Fatal
}

// A Finding is a fault and the facts, in words that fit behind "it".
type Finding struct {
	Fault Fault  `json:"fault"`
	Text  string `json:"text"`
}

func (f Finding) fatal() bool { return f.Fault.Weight() == Fatal }

// maxChain bounds how many certificates of a chain are looked at.
const maxChain = 32

// Judge says what is wrong with what was seen, the worst first. Nothing is well.
func Judge(s Sight, e Expect) []Finding {
	chain := s.Chain[:min(len(s.Chain), maxChain)]
	leaf := chain[0]
	list, strict := judgeDANE(chain, e)
	if !strict {
		list = slices.Concat(names(leaf, e.Names, e.NoWildcard), dates(leaf, e.Now), trust(chain, e, e.Roots), usage(leaf))
	}
	list = slices.Concat(list, weakness(leaf))
	if s.Version < tls.VersionTLS12 {
		list = append(list, Finding{OldTLS, "is served with " + tls.VersionName(s.Version) + ", which most peers refuse"})
	}
	if e.Client && !serves(leaf, x509.ExtKeyUsageClientAuth) {
		list = append(list, Finding{NotClient, "is not for clients: some servers refuse the connections that this one makes"})
	}
	slices.SortStableFunc(list, func(a, b Finding) int { return int(b.Fault.Weight() - a.Fault.Weight()) })
	return list
}

// names finds out whether a certificate is for one of names.
func names(leaf *x509.Certificate, names []string, noWildcard bool) []Finding {
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
	return []Finding{{WrongName, text}}
}

// IsFor tells whether a certificate is for a name or an IP address.
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

// ListNames lists what a certificate is for, in short and fit for a terminal.
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

// Subject names a certificate, in short and fit for a terminal.
func Subject(c *x509.Certificate) string {
	name := c.Subject.CommonName
	if name == "" && len(c.Subject.Organization) > 0 {
		name = c.Subject.Organization[0]
	}
	if name == "" {
		return ListNames(c)
	}
	return fmt.Sprintf("%q", textfmt.OneLine(name, 64))
}

// Issuer names who signed a certificate.
func Issuer(c *x509.Certificate) string {
	return Subject(&x509.Certificate{Subject: c.Issuer})
}

// dates compares a certificate with the clock.
func dates(leaf *x509.Certificate, now time.Time) []Finding {
	left := leaf.NotAfter.Sub(now)
	switch {
	case now.Before(leaf.NotBefore):
		return []Finding{{TooEarly, "is not valid before " + day(leaf.NotBefore)}}
	case left < 0:
		return []Finding{{Expired, fmt.Sprintf("ended on %s, %s ago", day(leaf.NotAfter), Days(-left))}}
	case left < endsSoon(leaf.NotAfter.Sub(leaf.NotBefore)):
		return []Finding{{EndsSoon, fmt.Sprintf("ends on %s, in %s: it should have been renewed", day(leaf.NotAfter), Days(left))}}
	}
	return nil
}

// endsSoon is when a certificate should long have been renewed. At the latest
// that is when a sixth of its life is left.
func endsSoon(life time.Duration) time.Duration { return min(life/6, 14*24*time.Hour) }

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }

// Days writes a span as people do.
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

// usage looks at what a certificate may be used for.
func usage(leaf *x509.Certificate) []Finding {
	if !serves(leaf, x509.ExtKeyUsageServerAuth) {
		return []Finding{{WrongUsage, "is not for servers: its extended key usage lacks serverAuth"}}
	}
	if leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return []Finding{{WrongUsage, "may not sign handshakes: its key usage lacks digitalSignature"}}
	}
	return nil
}

// serves tells whether a certificate may be used in a way.
func serves(leaf *x509.Certificate, how x509.ExtKeyUsage) bool {
	if len(leaf.ExtKeyUsage) == 0 && len(leaf.UnknownExtKeyUsage) == 0 {
		return true
	}
	return slices.Contains(leaf.ExtKeyUsage, how) || slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny)
}

// weakness looks at the key.
func weakness(leaf *x509.Certificate) []Finding {
	if key, ok := leaf.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < 2048 {
		return []Finding{{WeakKey, fmt.Sprintf("has an RSA key of %d bits: 2048 are the least", key.N.BitLen())}}
	}
	return nil
}
