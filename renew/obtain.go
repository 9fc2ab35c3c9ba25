package renew

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"keypaird/renew/issuer"
	"keypaird/renew/keypair"
)

// obtainAll obtains the certificates that are needed, up to Parallel at once. It
// returns each job when it is done; those that need no certificate come first.
func (p *Pass) obtainAll(ctx context.Context, jobs []*job, errs *failures) <-chan *job {
	done := make(chan *job, len(jobs)) // the senders never block
	var orders []*job
	for _, j := range jobs {
		if j.decision.Action == Issue {
			orders = append(orders, j)
		} else {
			done <- j
		}
	}
	slots := make(chan struct{}, max(p.Parallel, 1))
	go func() { // ends when the receiver has seen the end
		defer close(done)
		p.eachOnDisk(len(orders), func(i int) {
			j := orders[i]
			if w, ok := p.nextIssuer(j, nil).(issuer.Warmer); ok {
				p.fetching.Go(func() { w.Warm(ctx) }) // while the disk is waited for
			}
			j.unmade = p.Store.Make(j.Name) // with others
			slots <- struct{}{}
			ordered := sync.OnceFunc(func() { <-slots }) // another may order while this one is stored
			defer ordered()
			if err := p.obtain(ctx, j, ordered); err != nil {
				j.failed = true
				if ctx.Err() == nil { // an interrupt is not a failure
					errs.add(&TargetError{[]string{j.Name}, j.Obtaining("").String(), err})
				}
			}
			p.step(j.Name, "")
			done <- j
		})
	}()
	return done
}

// obtain gets a certificate from one issuer or the next, calls ordered, and stores
// it. Nothing in use changes yet. The error is the first issuer's.
func (p *Pass) obtain(ctx context.Context, j *job, ordered func()) error {
	var first error
	var tried []Issuer
	for {
		issuer := p.nextIssuer(j, tried)
		if issuer == nil || ctx.Err() != nil {
			return cmp.Or(first, context.Cause(ctx))
		}
		tried = append(tried, issuer)
		err := p.obtainFrom(ctx, j, issuer, ordered)
		if err == nil {
			return nil
		}
		if first != nil {
			p.Log.Warn("this CA failed too", "cert", j.Name, "ca", issuer.String(), "err", err)
		}
		first = cmp.Or(first, err)
		var failed *OrderError
		if !errors.As(err, &failed) || !failed.TryNextCA {
			return first
		}
		if next := p.nextIssuer(j, tried); next != nil && ctx.Err() == nil {
			p.Log.Warn("trying the next CA", "cert", j.Name, "failed", issuer.String(), "next", next.String(), "err", err)
		}
	}
}

// nextIssuer returns the issuer to ask now that was not tried yet, or nil.
func (p *Pass) nextIssuer(j *job, tried []Issuer) Issuer {
	issuers, _, _ := j.state.availableIssuers(p.now(), j.Target, p.Mode)
	n := slices.IndexFunc(issuers, func(i Issuer) bool { return !slices.Contains(tried, i) })
	if n < 0 {
		return nil
	}
	return issuers[n]
}

// obtainFrom gets a certificate from issuer, calls ordered, and stores it.
func (p *Pass) obtainFrom(ctx context.Context, j *job, issuer Issuer, ordered func()) error {
	began := p.now()
	if j.unmade != nil {
		return p.recordFailure(ctx, j, issuer, fmt.Errorf("storing: %w", j.unmade))
	}
	pair, err := p.order(ctx, j, issuer)
	if failed, ok := errors.AsType[*OrderError](err); ok && failed.Held {
		return err
	}
	if ctx.Err() == nil && p.Observer != nil && j.External() == nil {
		p.Observer.Ordered(issuer.String(), p.now().Sub(began), err)
	}
	if err == nil {
		ordered()
		err = p.store(ctx, j, issuer, pair, began)
	}
	if unrecorded, ok := errors.AsType[*unrecordedError](err); ok {
		return unrecorded.error
	}
	if err != nil {
		return p.recordFailure(ctx, j, issuer, err)
	}
	return nil
}

// store adds a pair of issuer to the store, unless it is stored already, as files
// may be that were only touched.
func (p *Pass) store(ctx context.Context, j *job, issuer Issuer, pair *keypair.Pair, began time.Time) error {
	same, err := p.stored(j, pair)
	if err != nil {
		return err
	}
	if same {
		return p.recordStored(j, issuer, pair, j.state.Record.External.ReplacedAt)
	}
	if err := p.undeploy(j, pair); err != nil {
		return err
	}
	p.step(j.Name, "storing")
	v, err := p.Store.Add(j.Name, pair)
	if err != nil {
		return fmt.Errorf("storing: %w", err)
	}
	before, replaced := j.state.Leaf, j.state.Record.External.ReplacedAt
	if j.state.imported() {
		replaced = p.now()
	}
	j.issuer, j.state.Live, j.asked = issuer, false, false
	j.state.Leaf, j.state.Version, j.state.Fingerprint = pair.Leaf, v.ID, pair.Fingerprint()
	unrecorded := p.recordStored(j, issuer, pair, replaced)
	p.Log.Info("stored", "cert", j.Name, "version", v.ID, "ca", issuer.String(), "fingerprint", j.state.Fingerprint[:16],
		"not_after", pair.Leaf.NotAfter.UTC(), "took", p.now().Sub(began).Round(time.Millisecond))
	p.publish(ctx, j, pair)
	p.startRenewalInfo(ctx, j)
	p.forgetOrder(j, pair.Leaf)
	p.afterOrder(ctx, j, began, before)
	if x := j.External(); x != nil {
		for _, doubt := range x.Doubts(pair, before) {
			p.Log.Warn("external certificate may be wrong", "cert", j.Name, "why", doubt)
		}
	}
	return unrecorded
}

// stored reports whether pair is the newest version, its chain included.
func (p *Pass) stored(j *job, pair *keypair.Pair) (bool, error) {
	if pair.Fingerprint() != j.state.Fingerprint {
		return false, nil
	}
	newest, err := p.Store.Newest(j.Name)
	if err != nil && !keypair.None(err) {
		return false, err
	}
	return err == nil && newest.ID == j.state.Version && bytes.Equal(newest.Pair.FullChain(), pair.FullChain()), nil
}

// recordStored records who provided the pair that is stored; replaced is when it took
// the place of another from the same files.
func (p *Pass) recordStored(j *job, issuer Issuer, pair *keypair.Pair, replaced time.Time) error {
	if j.External() != nil {
		j.state.Record.SetImported(pair.Fingerprint(), Imported{Mark: j.state.Mark, ReplacedAt: replaced.UTC().Truncate(time.Second)})
	} else {
		j.state.Record.SetIssued(j.Profile, issuer.String(), pair.Fingerprint(), p.now())
	}
	if err := p.save(j); err != nil {
		return &unrecordedError{fmt.Errorf("recording: %w", err)}
	}
	return nil
}

// An unrecordedError says that a pair is stored, and that the record does not know it.
type unrecordedError struct{ error }

// undeploy records that a version with the leaf of pair and another chain is no longer
// deployed. Both have the same fingerprint, so the new one would count as deployed.
// This is recorded before the pair is stored, as the process may die in between.
func (p *Pass) undeploy(j *job, pair *keypair.Pair) error {
	found := false
	for name, d := range j.state.Record.Deployments {
		if !d.Has(pair.Fingerprint()) {
			continue
		}
		v, err := p.Store.Find(j.Name, pair.Fingerprint())
		if err != nil && !keypair.None(err) {
			return err
		}
		if err == nil && bytes.Equal(v.Pair.FullChain(), pair.FullChain()) {
			continue
		}
		found = true
		j.state.Record.Undeploy(name)
	}
	if !found {
		return nil
	}
	return p.save(j)
}

// forgetOrder removes what is left of the order that ended in leaf, the newest, unless
// other machines do not have that yet: they may go on with the order.
func (p *Pass) forgetOrder(j *job, leaf *x509.Certificate) {
	if j.Sharing != nil && j.state.Record.Fleet.Fingerprint != j.state.Fingerprint {
		return
	}
	for _, issuer := range j.Issuers {
		found, err := issuer.Forget(leaf)
		if err != nil {
			p.Log.Warn("order not forgotten", "cert", j.Name, "err", err)
		}
		if found || err != nil {
			return
		}
	}
}

// order asks issuer, unless an order of this pass showed that none can succeed
// there.
func (p *Pass) order(ctx context.Context, j *job, issuer Issuer) (pair *keypair.Pair, err error) {
	ca := issuer.String()
	p.mu.Lock()
	failed := p.failedCAs[ca]
	p.mu.Unlock()
	if failed != nil {
		return nil, &OrderError{TryNextCA: true, CAWide: true, Err: fmt.Errorf("not asked, as another order failed there: %w", failed)}
	}
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		var failed *OrderError
		switch {
		case err == nil:
			delete(p.failedCAs, ca)
		case errors.As(err, &failed) && failed.CAWide && ctx.Err() == nil:
			p.failedCAs[ca] = failed.Err
		}
	}()
	defer p.recovered(&err, "cert", j.Name)
	if err := p.Store.Tidy(j.Name); err != nil {
		return nil, err
	}
	key, err := p.keyFor(ctx, j)
	if err != nil {
		return nil, err
	}
	rec, keyType := j.state.Record, j.KeyType
	if key != nil {
		keyType = keypair.KeyType(key.Public())
	}
	return issuer.Obtain(ctx, Order{
		KeyType: keyType, Have: j.state.Leaf, Key: key, NewKey: j.NewKey || j.state.revoked(j.state.Leaf), Forced: p.Mode == Force,
		Replaces: j.state.Leaf != nil && rec.CA == ca && rec.Fingerprint == j.state.Fingerprint,
		Foreign:  j.state.Leaf != nil && j.state.foreign(ca),
		Step:     func(step string) { p.step(j.Name, step) },
		Now:      p.now(),
	})
}

// recordFailure keeps the failure of an order for the backoff and for status.
func (p *Pass) recordFailure(ctx context.Context, j *job, issuer Issuer, err error) error {
	if ctx.Err() != nil {
		return err
	}
	rec, name := &j.state.Record, issuer.String()
	rec.SetFailedOrder(name, rec.Orders[name].Failed(err, p.now(), j.state.ends()))
	rec.External.FailedMark = j.state.Mark
	if rerr := p.save(j); rerr != nil {
		p.Log.Warn("failure not recorded", "cert", j.Name, "err", rerr, "remedy", Remedy(rerr))
	}
	return err
}
