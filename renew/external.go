package renew

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"keypaird/renew/keypair"
)

// importFiles copies the files of an external certificate into the store. Nothing in use
// changes yet.
func (p *Pass) importFiles(ctx context.Context, j *job) error {
	p.step(j.Name, "reading its files")
	pair, mark, err := p.readFiles(j)
	if err == nil {
		err = p.storeImported(j, pair, mark)
	}
	if err == nil || ctx.Err() != nil {
		return err
	}
	last := &j.state.Record.External
	last.FailedMark, last.Attempt = mark, last.Attempt.Failed(err, p.now(), j.state.ends())
	if rerr := p.save(j); rerr != nil {
		p.Log.Warn("failure not recorded", "cert", j.Name, "err", rerr)
	}
	return err
}

func (p *Pass) readFiles(j *job) (pair *keypair.Pair, mark string, err error) {
	defer p.recovered(&err, "cert", j.Name)
	return j.External.Read(p.now())
}

// storeImported stores what was read of the files of an external certificate, unless it is
// stored already.
func (p *Pass) storeImported(j *job, pair *keypair.Pair, mark string) error {
	imported := Imported{Mark: mark, Fingerprint: pair.Fingerprint(), ReplacedAt: j.state.Record.External.ReplacedAt}
	newest, err := p.Store.Newest(j.Name)
	if err != nil && !none(err) {
		return err
	}
	if err == nil && newest.ID == j.state.Version && bytes.Equal(newest.Pair.FullChain(), pair.FullChain()) {
		return p.recordImport(j, imported)
	}
	if err := p.checkNames(j, pair); err != nil {
		return err
	}
	// The same certificate with other intermediates is known by the same
	// fingerprint. Where it is in use it must be deployed all the same, also if we
	// die before it is recorded that it was stored.
	again, err := p.undeploy(j, pair)
	if err == nil && again {
		err = p.save(j)
	}
	if err != nil {
		return err
	}
	if last := j.state.Record.External.Fingerprint; last != "" && last == j.state.Fingerprint {
		imported.ReplacedAt = p.now().UTC().Truncate(time.Second)
	}
	p.step(j.Name, "storing them")
	if err := p.Store.Tidy(j.Name); err != nil {
		return err
	}
	v, err := p.Store.Add(j.Name, pair)
	if err != nil {
		return fmt.Errorf("storing: %w", err)
	}
	before := j.state.Leaf
	j.imported, j.state.Live = true, false
	j.state.Leaf, j.state.Version, j.state.Fingerprint = pair.Leaf, v.ID, imported.Fingerprint
	j.state.Record.imported(imported)
	unrecorded := p.save(j)
	p.Log.Info("stored", "cert", j.Name, "version", v.ID, "from", j.External.Chain, "fingerprint", imported.Fingerprint[:16], "not_after", pair.Leaf.NotAfter.UTC())
	p.warnChanges(j, before, pair)
	if unrecorded != nil {
		return fmt.Errorf("recording: %w", unrecorded)
	}
	return nil
}

// recordImport notes that the files hold what is stored.
func (p *Pass) recordImport(j *job, t Imported) error {
	if j.state.Record.External == t {
		return nil
	}
	j.state.Record.imported(t)
	if err := p.save(j); err != nil {
		return fmt.Errorf("recording: %w", err)
	}
	return nil
}

// imported records that the newest version is from files. Who issued it is not known.
func (r *Record) imported(t Imported) {
	r.External, r.Fingerprint, r.CA, r.Profile, r.IssuedAt, r.Orders, r.RenewalInfo = t, "", "", "", time.Time{}, nil, RenewalInfo{}
}

// undeploy forgets deployments of what has the leaf of pair and another chain.
func (p *Pass) undeploy(j *job, pair *keypair.Pair) (any bool, err error) {
	for name, d := range j.state.Record.Deployments {
		if d.Deployed != pair.Fingerprint() && d.Verified != pair.Fingerprint() {
			continue
		}
		v, err := p.Store.Find(j.Name, pair.Fingerprint())
		if err != nil && !none(err) {
			return any, err
		}
		if err == nil && bytes.Equal(v.Pair.FullChain(), pair.FullChain()) {
			continue
		}
		d.Deployed, d.Verified, any = "", "", true
		j.state.Record.deployment(name, d)
	}
	return any, nil
}

// An UnrelatedCertError reports an external certificate for none of the names that the one
// in use is for: most likely it was put into the wrong files.
type UnrelatedCertError struct {
	Target, Chain string
	Has, Lost     []string
}

func (e *UnrelatedCertError) Error() string {
	return fmt.Sprintf("the certificate in %s is for %s, and for none of the names that the one in use is for: %s", e.Chain, quoted(e.Has), quoted(e.Lost))
}

// Remedy says what the operator can do about it.
func (e *UnrelatedCertError) Remedy() string {
	return "put the right certificate and key there; or, if this is what you want: keypaird issue -force " + e.Target
}

// checkNames refuses a certificate that has nothing to do with the one in use, unless
// the operator forces it.
func (p *Pass) checkNames(j *job, pair *keypair.Pair) error {
	if j.state.Leaf == nil || p.Mode == Force {
		return nil
	}
	have, lost := Names(pair.Leaf), Names(j.state.Leaf)
	if slices.ContainsFunc(have, func(name string) bool { return slices.Contains(lost, name) }) {
		return nil
	}
	return &UnrelatedCertError{j.Name, j.External.Chain, have, lost}
}

// warnChanges logs changes that may be mistakes.
func (p *Pass) warnChanges(j *job, before *x509.Certificate, pair *keypair.Pair) {
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
