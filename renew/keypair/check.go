package keypair

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"keypaird/renew/problem"
)

// skew is how far a CA's clock may be ahead of ours.
const skew = time.Hour

// Check reports whether p certifies exactly names at the instant now: a
// [*DateError] if only the instant is wrong. DNS names compare without case, IP
// addresses by value.
func (p *Pair) Check(names []string, now time.Time) error {
	var want, got []string
	for _, n := range names {
		if ip, err := netip.ParseAddr(n); err == nil {
			want = append(want, kindIP+ip.Unmap().String())
		} else {
			want = append(want, kindDNS+strings.ToLower(n))
		}
	}
	got = p.subjects()
	missing, extra := minus(want, got), minus(got, want)
	if len(missing) > 0 || len(extra) > 0 {
		return namesError(missing, extra)
	}
	if p.Leaf.NotBefore.After(now.Add(skew)) || !now.Before(p.Leaf.NotAfter) {
		return &DateError{NotBefore: p.Leaf.NotBefore, NotAfter: p.Leaf.NotAfter, Now: now}
	}
	return nil
}

// A new certificate has almost ended when less than a twentieth of its lifetime
// is left and less than a day: a CA's certificate of five minutes is refused in
// its last 15 seconds, one of 90 days on its last day.
const (
	minLifePart = 20
	minLife     = 24 * time.Hour
)

// CheckNew reports whether p may take the place of another pair: it passes
// [Pair.Check], TLS servers may use it, and it has not almost ended. Pairs in the
// store are not held to it: what is served goes on being served.
func (p *Pair) CheckNew(names []string, now time.Time) error {
	if err := p.Check(names, now); err != nil {
		return err
	}
	if err := checkServerUse(p.Leaf); err != nil {
		return err
	}
	return checkLife(p.Leaf, now)
}

// checkServerUse says why clients refuse leaf as the certificate of a TLS server
// (RFC 5280, section 4.2), or nil. A leaf that does not say what it is for may
// be used for everything.
func checkServerUse(leaf *x509.Certificate) error {
	server := func(u x509.ExtKeyUsage) bool { return u == x509.ExtKeyUsageServerAuth || u == x509.ExtKeyUsageAny }
	switch {
	case leaf.IsCA:
		return errors.New("the certificate is one of a CA (CA:true), not of a server")
	case len(leaf.ExtKeyUsage)+len(leaf.UnknownExtKeyUsage) > 0 && !slices.ContainsFunc(leaf.ExtKeyUsage, server):
		return errors.New("the certificate is not for servers: its extended key usage lacks serverAuth")
	case leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return errors.New("the certificate is not for servers: its key usage lacks digitalSignature")
	case len(leaf.UnhandledCriticalExtensions) > 0:
		return fmt.Errorf("the certificate has a critical extension that clients do not know: %v", leaf.UnhandledCriticalExtensions[0])
	}
	return nil
}

// checkLife returns a [*DateError] if leaf is never valid or has almost ended.
func checkLife(leaf *x509.Certificate, now time.Time) error {
	life := leaf.NotAfter.Sub(leaf.NotBefore)
	if life <= 0 || leaf.NotAfter.Sub(now) < min(life/minLifePart, minLife) {
		return &DateError{NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter, Now: now}
	}
	return nil
}

// Names are the subject alternative names, sorted, without duplicates, DNS
// names in lower case and IP addresses in text. E-mail addresses and URIs are
// among them, so that nothing a certificate claims is left out.
func (p *Pair) Names() []string { return minus(p.subjects(), nil) }

// A subject carries its kind while names are compared: the DNS name
// "192.0.2.1" is not the address 192.0.2.1.
const (
	kindDNS   = "dns "
	kindIP    = "ip "
	kindOther = "other "
)

func (p *Pair) subjects() []string {
	var s []string
	for _, n := range p.Leaf.DNSNames {
		s = append(s, kindDNS+strings.ToLower(n))
	}
	for _, ip := range p.Leaf.IPAddresses {
		s = append(s, kindIP+canonical(ip))
	}
	for _, a := range p.Leaf.EmailAddresses {
		s = append(s, kindOther+a)
	}
	for _, u := range p.Leaf.URIs {
		s = append(s, kindOther+u.String())
	}
	return s
}

func canonical(ip net.IP) string {
	if a, ok := netip.AddrFromSlice(ip); ok {
		return a.Unmap().String()
	}
	return ip.String()
}

// minus returns the names of the subjects in a that are not in b, sorted and
// each once.
func minus(a, b []string) []string {
	var out []string
	for _, s := range a {
		if !slices.Contains(b, s) {
			_, name, _ := strings.Cut(s, " ")
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// namesError is the error of a certificate that lacks names which were wanted, or has
// others.
func namesError(missing, extra []string) error {
	var parts []string
	if len(missing) > 0 {
		parts = append(parts, fmt.Sprintf("lacks %q", missing))
	}
	if len(extra) > 0 {
		parts = append(parts, fmt.Sprintf("has %q, which was not asked for", extra))
	}
	return problem.New("certificate "+strings.Join(parts, " and "),
		"order a certificate for the names in the configuration: keypaird issue")
}

// A DateError reports a certificate outside of its validity, or too close to its
// end to be put into use.
type DateError struct {
	NotBefore, NotAfter time.Time
	Now                 time.Time // when it was looked at
}

func (e *DateError) Error() string {
	switch {
	case !e.NotBefore.Before(e.NotAfter):
		return fmt.Sprintf("certificate is never valid: it ends at %s and begins at %s", stamp(e.NotAfter), stamp(e.NotBefore))
	case e.early():
		return fmt.Sprintf("certificate is not valid before %s, it is %s", stamp(e.NotBefore), stamp(e.Now))
	case e.Now.Before(e.NotAfter):
		return fmt.Sprintf("certificate has almost ended: it is valid until %s, it is %s", stamp(e.NotAfter), stamp(e.Now))
	}
	return fmt.Sprintf("certificate expired at %s, it is %s", stamp(e.NotAfter), stamp(e.Now))
}

// Remedy says what the operator can do about it.
func (e *DateError) Remedy() string {
	if e.NotBefore.Before(e.NotAfter) && e.early() {
		return "set the clock of this machine"
	}
	return "order another: keypaird issue"
}

func (e *DateError) early() bool { return e.NotBefore.After(e.Now) }

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
