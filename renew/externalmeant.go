package renew

import (
	"crypto/x509"
	"fmt"
	"slices"

	"keypaird/renew/keypair"
)

// A StrangerError reports a bought certificate for none of the names that the one
// in use is for: most likely it was put into the wrong files.
type StrangerError struct {
	Target, Chain string
	Has, Lost     []string
}

func (e *StrangerError) Error() string {
	return fmt.Sprintf("the certificate in %s is for %s, and for none of the names that the one in use is for: %s", e.Chain, quoted(e.Has), quoted(e.Lost))
}

// Remedy says what the operator can do about it.
func (e *StrangerError) Remedy() string {
	return "put the right certificate and key there; or, if this is what you want: keypaird issue -force " + e.Target
}

// meant refuses a certificate that has nothing to do with the one in use, unless
// somebody insists.
func (p *Pass) meant(j *job, pair *keypair.Pair) error {
	if j.state.Leaf == nil || p.Mood == Forced {
		return nil
	}
	have, lost := Names(pair.Leaf), Names(j.state.Leaf)
	if slices.ContainsFunc(have, func(name string) bool { return slices.Contains(lost, name) }) {
		return nil
	}
	return &StrangerError{j.Name, j.External.Chain, have, lost}
}

// remark says what a person may not have meant.
func (p *Pass) remark(j *job, before *x509.Certificate, pair *keypair.Pair) {
	if pair.Alone() {
		p.Log.Warn("the chain holds the certificate alone: clients that do not know its issuer refuse it", "cert", j.Name, "chain", j.External.Chain)
	}
	if before == nil {
		return
	}
	have := Names(pair.Leaf)
	lost := slices.DeleteFunc(Names(before), func(name string) bool { return slices.Contains(have, name) })
	if len(lost) > 0 {
		p.Log.Warn("the new certificate is not for all names that the one before was for", "cert", j.Name, "lost", quoted(lost))
	}
	if pair.Leaf.NotAfter.Before(before.NotAfter) {
		p.Log.Warn("the new certificate ends before the one that it replaces", "cert", j.Name, "not_after", pair.Leaf.NotAfter.UTC(), "before", before.NotAfter.UTC())
	}
}
