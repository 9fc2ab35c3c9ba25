package main

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"keypaird/hooks/probe"
)

// An Ownership says whose certificate it is that an endpoint serves.
type Ownership struct {
	Whose   string `json:"whose"`             // live, previous or newer, which are ours, or other
	Target  string `json:"target,omitempty"`  // of ours
	Version string `json:"version,omitempty"` // of its store

	chain []*x509.Certificate // that belongs to it
}

// Whose a pair is.
const (
	live     = "live"
	previous = "previous"
	newer    = "newer" // than the live one: what was deployed is not live, or was taken back
	other    = "other"
)

// owner finds out whether a certificate is ours, and which. Without a
// configuration nothing is known: nil.
func (v *verifier) owner(leaf *x509.Certificate) *Ownership {
	if v.w == nil {
		return nil
	}
	fp := probe.Fingerprint(leaf)
	for _, target := range v.candidates(leaf) {
		found, err := v.w.store.Find(target, fp)
		if err != nil { // not there, or nothing can be said of it
			continue
		}
		o := &Ownership{previous, target, found.ID, found.Pair.Chain}
		id, err := v.w.store.LiveID(target)
		switch {
		case err == nil && id == found.ID:
			o.Whose = live
		case err != nil || found.ID > id:
			o.Whose = newer
		}
		return o
	}
	return &Ownership{Whose: other}
}

// candidates are the targets that a certificate may be of, by its names.
func (v *verifier) candidates(leaf *x509.Certificate) (list []string) {
	names := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	for _, name := range names {
		for _, target := range v.byName[strings.ToLower(name)] {
			if !slices.Contains(list, target) {
				list = append(list, target)
			}
		}
	}
	return list
}

// keeperOf is the target that is for one of names, or "".
func (v *verifier) keeperOf(names []string) string {
	for _, name := range names {
		_, parent, _ := strings.Cut(name, ".")
		for _, n := range []string{name, "*." + parent} {
			if targets := v.byName[n]; len(targets) > 0 {
				return targets[0]
			}
		}
	}
	return ""
}

// inWords says what is served to those asked for a name, in the words of a
// table.
func (o *Ownership) inWords(leaf *x509.Certificate, target string, now time.Time) string {
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
	case o.Whose == live:
		return "the live pair" + of + left
	case o.Whose == previous:
		return fmt.Sprintf("our previous pair%s, %s%s", of, o.Version, left)
	case o.Whose == newer:
		return fmt.Sprintf("a pair of ours%s that is not live, %s%s", of, o.Version, left)
	}
	return "somebody else's certificate, by " + probe.Issuer(leaf) + left
}
