package renew

import (
	"context"
	"fmt"
	"slices"
	"time"

	"keypaird/renew/keypair"
	"keypaird/renew/problem"
	"keypaird/renew/record"
)

// share exchanges certificates with other machines.
func (p *Pass) share(ctx context.Context, jobs []*job, errs *failures) {
	jobs = slices.DeleteFunc(slices.Clone(jobs), func(j *job) bool { return j.Sharing == nil || j.stateErr != nil })
	p.eachOnDisk(len(jobs), func(i int) {
		j := jobs[i]
		err := p.take(ctx, j)
		if err != nil && ctx.Err() == nil {
			errs.add(&TargetError{[]string{j.Name}, "taking its certificate from the fleet", err})
		}
		LoadHolds(p.now(), j.Target, &j.state, p.Mode)
		if err == nil {
			p.publishStored(ctx, j)
		}
	})
}

// take replaces the stored pair by the one that other machines have.
func (p *Pass) take(ctx context.Context, j *job) (err error) {
	defer p.recovered(&err, "cert", j.Name)
	t, err := j.Sharing.Take(ctx, j.state)
	if err != nil || t == nil {
		return err
	}
	if err := j.fits(t, p.now()); err != nil {
		return err
	}
	same, err := p.stored(j, t.Pair)
	if err == nil && !same {
		if err = p.Store.Tidy(j.Name); err == nil {
			err = p.undeploy(j, t.Pair)
		}
		if err == nil {
			_, err = p.Store.Add(j.Name, t.Pair)
		}
	}
	if err != nil {
		return fmt.Errorf("storing: %w", err)
	}
	rec, fingerprint := &j.state.Record, t.Pair.Fingerprint()
	if rec.Ordering = t.Ordering; rec.Fingerprint != fingerprint { // it is of another one already
		rec.Ordering = Ordering{TLSA: t.Ordering.TLSA, Revoked: t.Ordering.Revoked}
	}
	if x := j.External(); x != nil {
		if rec.External.Mark = j.state.Mark; x.newer(t.Pair, p.now()) {
			rec.External.Mark = "" // the files of this machine are still to be imported
		}
	}
	rec.Fleet = record.Fleet{Serial: t.Serial, Fingerprint: fingerprint}
	if err := p.saveAndLoad(j, "taking its certificate from the fleet"); err != nil {
		return err
	}
	p.Log.Info("taken", "cert", j.Name, "serial", t.Serial, "version", j.state.Version, "fingerprint", fingerprint[:16], "not_after", t.Pair.Leaf.NotAfter.UTC())
	return nil
}

// fits returns why the pair of other machines cannot replace the stored one, or nil. That
// the key is the leaf's, and the chain in order, is known of every pair.
func (j *job) fits(t *Taken, now time.Time) error {
	if have := j.state.Record.Fleet.Serial; t.Serial < have {
		return fmt.Errorf("its serial number is %d, and that of what is stored %d", t.Serial, have)
	}
	names := keypair.Names(t.Pair.Leaf)
	if len(j.Names) > 0 && !slices.ContainsFunc(keypair.CanonicalNames(j.Names), func(name string) bool { return slices.Contains(names, name) }) {
		return problem.Newf("give all machines of the fleet the same configuration", "it is for %s, and for none of the names configured here: %s",
			keypair.Quoted(names), keypair.Quoted(j.Names))
	}
	return t.Pair.Check(t.Pair.Names(), now)
}

// publishStored publishes the stored certificate if others lack it: the pass that
// obtained it could not, or they have lost it.
func (p *Pass) publishStored(ctx context.Context, j *job) {
	s := j.state
	if s.Leaf == nil || !p.now().Before(s.Leaf.NotAfter) || s.OrderHold.Err != nil || s.Record.Fleet.Fingerprint == s.Fingerprint && !j.Sharing.Lacks(s) {
		return
	}
	newest, err := p.Store.Newest(j.Name)
	if err == nil && newest.ID == s.Version {
		p.publish(ctx, j, newest.Pair)
		p.forgetOrder(j, s.Leaf)
	}
}

// publish gives a certificate to other machines, if there are any. After a failure the
// next pass does.
func (p *Pass) publish(ctx context.Context, j *job, pair *keypair.Pair) {
	if j.Sharing == nil {
		return
	}
	var serial uint64
	var err error
	func() {
		defer p.recovered(&err, "cert", j.Name)
		serial, err = j.Sharing.Publish(ctx, j.state, pair)
	}()
	if err != nil {
		p.Log.Warn("not published", "cert", j.Name, "err", err, "remedy", Remedy(err))
		return
	}
	j.state.Record.Fleet = record.Fleet{Serial: max(serial, j.state.Record.Fleet.Serial), Fingerprint: j.state.Fingerprint}
	p.saveOrWarn(j, "publishing")
	p.Log.Info("published", "cert", j.Name, "serial", serial)
}
