package verify

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"keypaird/hooks/probe"
	"keypaird/renew/keypair"
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
	store  *keypair.Store      // nil: there is none
	byName map[string][]string // targets, by the names of their certificates
}

// match returns the match of a certificate; nil without a store.
func (m matcher) match(leaf *x509.Certificate) *Match {
	if m.store == nil {
		return nil
	}
	fp := probe.Fingerprint(leaf)
	for _, target := range m.candidates(leaf) {
		found, err := m.store.Find(target, fp)
		if err != nil { // not stored there, or not readable
			continue
		}
		o := &Match{previous, target, found.ID, found.Pair.Chain}
		id, err := m.store.LiveID(target)
		switch {
		case err == nil && id == found.ID:
			o.Source = live
		case err != nil || found.ID > id:
			o.Source = newer
		}
		return o
	}
	return &Match{Source: other}
}

// candidates returns the targets that have a name of the certificate.
func (m matcher) candidates(leaf *x509.Certificate) (list []string) {
	names := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	for _, name := range names {
		for _, target := range m.byName[strings.ToLower(name)] {
			if !slices.Contains(list, target) {
				list = append(list, target)
			}
		}
	}
	return list
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
