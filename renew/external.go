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

// take copies the files of a bought certificate into the store. Nothing in use
// changes yet.
func (p *Pass) take(ctx context.Context, j *job) error {
	p.step(j.Name, "reading its files")
	pair, mark, err := p.readFiles(j)
	if err == nil {
		err = p.keep(j, pair, mark)
	}
	if err == nil || ctx.Err() != nil {
		return err
	}
	last := &j.state.Record.External
	last.Tried, last.Attempt = mark, last.Attempt.Failed(err, p.now(), j.state.ends())
	if rerr := p.save(j); rerr != nil {
		p.Log.Warn("failure not recorded", "cert", j.Name, "err", rerr)
	}
	return err
}

func (p *Pass) readFiles(j *job) (pair *keypair.Pair, mark string, err error) {
	defer p.recovered(&err, "cert", j.Name)
	return j.External.Read(p.now())
}

// keep stores what was read of the files of a bought certificate, unless it is
// stored already.
func (p *Pass) keep(j *job, pair *keypair.Pair, mark string) error {
	taken := Taken{Mark: mark, Fingerprint: pair.Fingerprint(), Again: j.state.Record.External.Again}
	newest, err := p.Store.Newest(j.Name)
	if err != nil && !none(err) {
		return err
	}
	if err == nil && newest.ID == j.state.Version && bytes.Equal(newest.Pair.FullChain(), pair.FullChain()) {
		return p.keepMark(j, taken)
	}
	if err := p.meant(j, pair); err != nil {
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
		taken.Again = p.now().UTC().Truncate(time.Second)
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
	j.taken, j.state.Live = true, false
	j.state.Leaf, j.state.Version, j.state.Fingerprint = pair.Leaf, v.ID, taken.Fingerprint
	j.state.Record.took(taken)
	unrecorded := p.save(j)
	p.Log.Info("stored", "cert", j.Name, "version", v.ID, "from", j.External.Chain, "fingerprint", taken.Fingerprint[:16], "not_after", pair.Leaf.NotAfter.UTC())
	p.remark(j, before, pair)
	if unrecorded != nil {
		return fmt.Errorf("recording: %w", unrecorded)
	}
	return nil
}

// keepMark notes that the files hold what is stored.
func (p *Pass) keepMark(j *job, t Taken) error {
	if j.state.Record.External == t {
		return nil
	}
	j.state.Record.took(t)
	if err := p.save(j); err != nil {
		return fmt.Errorf("recording: %w", err)
	}
	return nil
}

// took notes that the newest version is from files. Who issued it is not known.
func (r *Record) took(t Taken) {
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
	if j.state.Leaf == nil || p.Mode == Force {
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
