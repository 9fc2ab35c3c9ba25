package renew

import (
	"context"
	"crypto/x509"
	"errors"
	"io/fs"
	"slices"
	"time"

	"keypaird/renew/backoff"
	"keypaird/renew/keypair"
	"keypaird/renew/problem"
)

// An External is the issuer of a certificate that another program or a person obtains, from
// a vendor or a CA without ACME. It is the only [Issuer] of its target. Its files are
// copied into the store when they have changed, and the copy is deployed as any other pair.
// A pair that cannot be used is not copied; the one before stays.
type External struct {
	keypair.Source
	Target string // its name, for messages
}

// String implements Issuer.
func (x *External) String() string { return NameOfExternal }

// Obtain implements Issuer: it reads the files. A certificate that has nothing to
// do with the one that is stored is refused, unless the operator forces it.
func (x *External) Obtain(_ context.Context, o Order) (*keypair.Pair, error) {
	o.Step(string(backoff.Import))
	p, err := x.Read(o.Now)
	if err == nil && o.Have != nil && !o.Forced {
		err = x.checkNames(p, o.Have)
	}
	return p, err
}

// Forget implements Issuer.
func (x *External) Forget(*x509.Certificate) (bool, error) { return false, nil }

// Limit implements Issuer.
func (x *External) Limit(*x509.Certificate) Limit { return Limit{} }

// ReplaceRemedy returns the remedy for an external certificate that ends.
func (x *External) ReplaceRemedy() string {
	return x.Replace() + ", or have keypaird obtain one: http-01 or dns-01 instead of external"
}

// Read returns the pair in the files, with remedies that name what can be
// written in the configuration.
func (x *External) Read(now time.Time) (*keypair.Pair, error) {
	p, _, err := x.Source.Read(now)
	if err == nil {
		return p, nil
	}
	remedy := Remedy(err)
	var dates *keypair.DateError
	switch {
	case errors.As(err, &dates) && !dates.Now.Before(dates.NotAfter):
		remedy = x.ReplaceRemedy()
	case errors.Is(err, fs.ErrNotExist):
		remedy = "put it there, or correct external in the configuration"
	}
	return nil, problem.Wrap(err, remedy)
}

// newer reports whether the files hold a usable pair that is newer than p.
func (x *External) newer(p *keypair.Pair, now time.Time) bool {
	have, err := x.Read(now)
	return err == nil && have.Leaf.NotBefore.After(p.Leaf.NotBefore)
}

// checkNames refuses a certificate that has nothing to do with the one that is
// stored: most likely it was put into the wrong files.
func (x *External) checkNames(p *keypair.Pair, stored *x509.Certificate) error {
	have, lost := keypair.Names(p.Leaf), keypair.Names(stored)
	if slices.ContainsFunc(have, func(name string) bool { return slices.Contains(lost, name) }) {
		return nil
	}
	return problem.Newf("put the right certificate and key there; or, if this is what you want: keypaird issue -force "+x.Target,
		"the certificate in %s is for %s, and for none of the names that the one in use is for: %s", x.Chain, keypair.Quoted(have), keypair.Quoted(lost))
}
