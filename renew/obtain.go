package renew

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"keypaird/renew/keypair"
)

// obtainAll gets what is to be issued, up to Parallel at once. It returns the
// jobs as they are done with; what needs no certificate comes first.
func (p *Pass) obtainAll(ctx context.Context, jobs []*job, errs *failures) <-chan *job {
	done := make(chan *job, len(jobs)) // the senders never block
	var orders []*job
	for _, j := range jobs {
		if j.decision.Action == Issue || j.decision.Action == Import {
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
			slots <- struct{}{}
			ordered := sync.OnceFunc(func() { <-slots }) // another may order while this one is stored
			defer ordered()
			if err := p.obtain(ctx, j, ordered); err != nil {
				j.failed = true
				if ctx.Err() == nil { // an interrupt is not a failure
					step := "obtaining"
					if j.External != nil {
						step = "importing its files"
					}
					errs.add(&TargetError{[]string{j.Name}, step, err})
				}
			}
			p.step(j.Name, "")
			done <- j
		})
	}()
	return done
}

// obtain gets a certificate from one CA or the next, calls ordered, and stores it.
// Nothing in use changes yet. The error is the first CA's.
func (p *Pass) obtain(ctx context.Context, j *job, ordered func()) error {
	if j.External != nil {
		return p.importFiles(ctx, j)
	}
	var first error
	var tried []string
	for {
		ca := p.nextCA(j, tried)
		if ca == "" || ctx.Err() != nil {
			return cmp.Or(first, context.Cause(ctx))
		}
		tried = append(tried, ca)
		err := p.obtainAt(ctx, j, ca, ordered)
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		} else {
			p.Log.Warn("this CA failed too", "cert", j.Name, "ca", ca, "err", err)
		}
		var failed *OrderError
		if !errors.As(err, &failed) || !failed.TryNextCA {
			return first
		}
		if next := p.nextCA(j, tried); next != "" && ctx.Err() == nil {
			p.Log.Warn("trying the next CA", "cert", j.Name, "failed", ca, "next", next, "err", err)
		}
	}
}

// nextCA is the CA to ask now that was not tried yet, or "".
func (p *Pass) nextCA(j *job, tried []string) string {
	cas, _, _ := j.state.availableCAs(p.now(), j.Target, p.Mode)
	for _, ca := range cas {
		if !slices.Contains(tried, ca) {
			return ca
		}
	}
	return ""
}

// obtainAt gets a certificate from ca, calls ordered, and stores it.
func (p *Pass) obtainAt(ctx context.Context, j *job, ca string, ordered func()) error {
	began := p.now()
	pair, err := p.order(ctx, j, ca)
	if ctx.Err() == nil && p.Observer != nil {
		p.Observer.Ordered(ca, p.now().Sub(began), err)
	}
	if err != nil {
		return p.recordFailure(ctx, j, ca, err)
	}
	ordered()
	v, err := p.Store.Add(j.Name, pair)
	if err != nil {
		return p.recordFailure(ctx, j, ca, fmt.Errorf("storing: %w", err))
	}
	before := j.state.Leaf
	j.ca, j.state.Live = ca, false
	j.state.Leaf, j.state.Version, j.state.Fingerprint = pair.Leaf, v.ID, pair.Fingerprint()
	j.state.Record.issued(j.Target, ca, pair.Fingerprint(), p.now())
	unrecorded := p.save(j)
	p.Log.Info("stored", "cert", j.Name, "version", v.ID, "ca", ca, "fingerprint", j.state.Fingerprint[:16],
		"not_after", pair.Leaf.NotAfter.UTC(), "took", p.now().Sub(began).Round(time.Millisecond))
	p.forgetOrder(j, pair.Leaf)
	p.afterOrder(ctx, j, began, before)
	if unrecorded != nil {
		return fmt.Errorf("recording: %w", unrecorded)
	}
	return nil
}

// forgetOrder removes what is left of the order that ended in leaf.
func (p *Pass) forgetOrder(j *job, leaf *x509.Certificate) {
	if err := p.Obtainer.ForgetOrder(j.Target, leaf); err != nil {
		p.Log.Warn("order not forgotten", "cert", j.Name, "err", err)
	}
}

// order asks ca, unless an order of this pass showed that none can succeed
// there.
func (p *Pass) order(ctx context.Context, j *job, ca string) (pair *keypair.Pair, err error) {
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
	rec, t := j.state.Record, j.Target
	if key != nil {
		t.KeyType = keypair.KeyType(key.Public())
	}
	return p.Obtainer.Obtain(ctx, Order{
		Target: t, CA: ca, Have: j.state.Leaf, Key: key, Forced: p.Mode == Force,
		Replaces: j.state.Leaf != nil && rec.CA == ca && rec.Fingerprint == j.state.Fingerprint,
		Foreign:  j.state.Leaf != nil && j.state.foreign(ca),
		Step:     func(step string) { p.step(j.Name, step) },
	})
}

// recordFailure keeps the failure of an order for the backoff and for status.
func (p *Pass) recordFailure(ctx context.Context, j *job, ca string, err error) error {
	if ctx.Err() != nil {
		return err
	}
	j.state.Record.failedOrder(ca, j.state.Record.Orders[ca].Failed(err, p.now(), j.state.ends()))
	if rerr := p.save(j); rerr != nil {
		p.Log.Warn("failure not recorded", "cert", j.Name, "err", rerr)
	}
	return err
}
