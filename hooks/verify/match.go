package verify

import (
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	"keypaird/hooks/probe"
	"keypaird/hooks/verify/input"
)

// A Match says which stored pair a served certificate belongs to, if any.
type Match struct {
	Source  string `json:"source"` // live, previous or newer if it is stored, else other
	Target  string `json:"target,omitempty"`
	Version string `json:"version,omitempty"`

	chain []*x509.Certificate // that belongs to it
}

// Sources of a certificate.
const (
	live     = "live"
	previous = "previous"
	newer    = "newer" // than the live pair: never made live, or rolled back
	other    = "other"
)

// A matcher finds the stored pair of a certificate.
type matcher struct {
	stored        *input.Stored       // nil: there is none
	byName        map[string][]string // targets, by the names of their certificates
	byFingerprint map[string][]storedVersion
}

// A storedVersion is a stored pair with its target.
type storedVersion struct {
	target *input.Pairs
	input.Version
	chain []*x509.Certificate
}

// newMatcher returns the matcher of what is stored; nil: nothing is compared.
func newMatcher(stored *input.Stored) matcher {
	m := matcher{stored, map[string][]string{}, map[string][]storedVersion{}}
	if stored == nil {
		return m
	}
	known := make([]*x509.Certificate, len(stored.Intermediates))
	for i, der := range stored.Intermediates {
		known[i], _ = x509.ParseCertificate(der) // one that is damaged completes no chain
	}
	for i := range stored.Targets {
		t := &stored.Targets[i]
		for _, name := range t.Names {
			m.byName[name] = append(m.byName[name], t.Name)
		}
		for _, v := range t.Versions {
			var chain []*x509.Certificate
			for _, n := range v.Chain {
				if known[n] != nil {
					chain = append(chain, known[n])
				}
			}
			m.byFingerprint[v.Fingerprint] = append(m.byFingerprint[v.Fingerprint], storedVersion{t, v, chain})
		}
	}
	return m
}

// match returns the match of a certificate; nil if nothing is compared.
func (m matcher) match(leaf *x509.Certificate) *Match {
	if m.stored == nil {
		return nil
	}
	list := m.byFingerprint[probe.Fingerprint(leaf)]
	if len(list) == 0 {
		return &Match{Source: other}
	}
	found := list[0]
	o := &Match{previous, found.target.Name, found.ID, found.chain}
	switch id := found.target.Live; {
	case id == found.ID:
		o.Source = live
	case id == "" || found.ID > id:
		o.Source = newer
	}
	return o
}

// targetFor returns a target with one of the names, or "".
func (m matcher) targetFor(names []string) string {
	for _, name := range names {
		_, parent, _ := strings.Cut(name, ".")
		for _, n := range []string{name, "*." + parent} {
			if targets := m.byName[n]; len(targets) > 0 {
				return targets[0]
			}
		}
	}
	return ""
}

// describe says which certificate is served, in the words of a table.
func (o *Match) describe(leaf *x509.Certificate, target string, now time.Time) string {
	left := fmt.Sprintf(", %s left", probe.Days(leaf.NotAfter.Sub(now)))
	if now.After(leaf.NotAfter) {
		left = fmt.Sprintf(", ended %s ago", probe.Days(now.Sub(leaf.NotAfter)))
	}
	of := ""
	if o != nil && o.Target != target {
		of = " of " + o.Target
	}
	switch {
	case o == nil:
		return "a certificate by " + probe.Issuer(leaf) + left
	case o.Source == live:
		return "the live pair" + of + left
	case o.Source == previous:
		return fmt.Sprintf("the previous pair%s, %s%s", of, o.Version, left)
	case o.Source == newer:
		return fmt.Sprintf("a newer pair%s that is not live, %s%s", of, o.Version, left)
	}
	return "another certificate, by " + probe.Issuer(leaf) + left
}

// intermediates returns the chain of a stored pair.
func (o *Match) intermediates() []*x509.Certificate {
	if o == nil {
		return nil
	}
	return o.chain
}
