package hooks

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"keypaird/hooks/probe"
	"keypaird/renew/keypair"
)

// Limits of verification.
const (
	maxVerify  = 15 * time.Second
	someVerify = 2 * time.Second // if another reload can follow
	maxProbe   = 8 * time.Second // of one probe; postscreen delays its greeting by 6 s
	maxProbes  = 8               // at a time
	firstPause = 10 * time.Millisecond
	maxPause   = 500 * time.Millisecond // between two rounds of probes
)

// patience says how long to repeat probes.
type patience int

const (
	once   patience = iota
	aWhile          // for some seconds
	untilDeadline
)

// limit returns how long verification may take.
func (d *Deployment) limit(p patience) time.Duration {
	limit := d.Patience
	if limit <= 0 {
		limit = min(d.timeout(), maxVerify)
	}
	if p == aWhile {
		limit = min(limit, someVerify)
	}
	return limit
}

// A query is one endpoint and one name of a target to request from it.
type query struct {
	*target
	endpoint probe.Endpoint
	name     string
	before   reply // before the first change
	now      reply // the latest
}

// A reply is the certificate that an endpoint served, or the error.
type reply struct {
	leaf *x509.Certificate
	err  error
}

// is reports whether the endpoint served the pair p.
func (a reply) is(p *keypair.Pair) bool { return a.leaf != nil && p != nil && a.leaf.Equal(p.Leaf) }

// fits reports whether the served certificate is for the name and valid at now.
func (a reply) fits(name string, now time.Time) bool {
	return a.current(now) && probe.IsFor(a.leaf, name, false)
}

// current reports whether the served certificate is valid at now.
func (a reply) current(now time.Time) bool {
	return a.leaf != nil && !now.Before(a.leaf.NotBefore) && !now.After(a.leaf.NotAfter)
}

// disowns reports whether the endpoint is up but does not know the name: an XMPP
// server says so, others serve a certificate for other names.
func (a reply) disowns(name string, now time.Time) bool {
	return errors.Is(a.err, probe.ErrHostUnknown) || a.current(now) && !probe.IsFor(a.leaf, name, false)
}

// A verdict is the result of a query.
type verdict int

const (
	served    verdict = iota // the endpoint serves the new pair
	notServed                // it does not serve this name, and did not before
	failing                  // it does not serve the new pair, and did not serve the previous one
	worse                    // it does not serve the new pair, and served a good one before
)

// evaluate compares the latest reply with the one before the deployment.
func (q *query) evaluate(now time.Time) verdict {
	wasFit, wasOurs := q.before.fits(q.name, now), q.ours(q.before)
	switch {
	case q.now.is(q.New):
		return served
	case wasFit && (wasOurs || !q.now.fits(q.name, now)):
		return worse
	case q.others(q.before, now) && q.others(q.now, now):
		return notServed
	case errors.Is(q.now.err, probe.ErrHostUnknown): // certain, regardless of the reply before
		return notServed
	}
	return failing
}

// ours reports whether a is an earlier pair of the target.
func (q *query) ours(a reply) bool {
	return a.is(q.Previous) || a.is(q.back.pair) || a.is(q.target.before.pair)
}

// others reports whether the endpoint does not serve the name, or serves another
// target's certificate. A certificate for the same names as the new one is not
// another target's.
func (q *query) others(a reply, now time.Time) bool {
	if failed, ok := errors.AsType[*probe.Error](a.err); ok && failed.Stage == probe.Handshaking && !failed.TimedOut {
		return true // some servers refuse the handshake for names they do not know
	}
	if a.leaf == nil {
		return errors.Is(a.err, probe.ErrHostUnknown)
	}
	return a.current(now) && !a.is(q.New) && !q.ours(a) && !slices.Equal(keypair.Names(a.leaf), keypair.Names(q.New.Leaf))
}

// failure returns the error for an endpoint that does not serve the pair want.
func (q *query) failure(want *keypair.Pair) error {
	if q.now.err != nil {
		return q.now.err
	}
	return &probe.StaleError{
		Endpoint: q.endpoint, ServerName: q.name, NotAfter: q.now.leaf.NotAfter,
		Got: probe.Fingerprint(q.now.leaf), Want: want.Fingerprint(),
	}
}

// queriesFor lists the queries of a target: each name at each endpoint.
func (r *run) queriesFor(t *target) []*query {
	names := t.New.Names()
	if t.back.pair != nil {
		for _, name := range t.back.pair.Names() {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	var list []*query
	for _, name := range names {
		for _, e := range r.Verify {
			list = append(list, &query{target: t, endpoint: e, name: name})
		}
	}
	return list
}

// queries lists the queries of all targets for which want holds.
func (r *run) queries(want func(*query) bool) []*query {
	var list []*query
	for _, t := range r.targets {
		for _, q := range t.queries {
			if want(q) {
				list = append(list, q)
			}
		}
	}
	return list
}

// isNew reports whether the new pair is for the name of the query.
func isNew(q *query) bool { return slices.Contains(q.New.Names(), q.name) }

// probeBefore probes all endpoints before the first change.
func (r *run) probeBefore(ctx context.Context) {
	all := r.queries(func(*query) bool { return true })
	limited, cancel := context.WithTimeout(ctx, r.limit(untilDeadline))
	defer cancel()
	probeAll(limited, all)
	for _, q := range all {
		q.before = q.now
	}
}

// verify probes until the endpoints serve the new pairs, and returns the targets
// that failed. A server takes a moment to complete a reload and does not report it.
func (r *run) verify(ctx context.Context, p patience) []*Failure {
	list := r.queries(isNew)
	var failures []*Failure
	left := r.poll(ctx, list, p, func(q *query) bool { return q.now.is(q.New) }, func() bool {
		failures = r.evaluate()
		return len(failures) == 0
	})
	if err := ctx.Err(); err != nil {
		return r.all(StepVerify, err)
	}
	if left == 0 {
		return nil
	}
	failures = r.evaluate()
	if len(failures) == 0 {
		r.warnNotServed()
	}
	return failures
}

// poll probes each query of list until well holds for it, the time limit is reached,
// or enough holds after some seconds. It returns how many queries are left.
func (r *run) poll(ctx context.Context, list []*query, p patience, well func(*query) bool, enough func() bool) (left int) {
	limited, cancel := context.WithTimeout(ctx, r.limit(p))
	defer cancel()
	began := time.Now()
	for pause := firstPause; len(list) > 0; pause = min(2*pause, maxPause) {
		probeAll(limited, list)
		list = slices.DeleteFunc(list, well)
		if len(list) == 0 || p == once || time.Since(began) >= r.limit(aWhile) && enough() || !wait(limited, pause) {
			break
		}
	}
	return len(list)
}

// evaluate returns the targets that the latest replies do not verify, each with all
// its errors.
//
// An endpoint need not serve a name that it did not serve before. But each endpoint
// must serve some name, unless it served none when the previous pair was verified;
// and if no endpoint serves a target, none may serve its names with another
// certificate.
func (r *run) evaluate() []*Failure {
	now := time.Now()
	serving, verified := map[probe.Endpoint]bool{}, map[*target]bool{}
	list := r.queries(isNew)
	for _, q := range list {
		if q.evaluate(now) == served {
			serving[q.endpoint], verified[q.target] = true, true
		}
	}
	var failures []*Failure
	missing := map[*target][]error{}
	for _, q := range list {
		switch v := q.evaluate(now); {
		case v == served:
		case v == notServed && (serving[q.endpoint] || q.WasVerified) && (verified[q.target] || q.now.disowns(q.name, now)):
		default:
			missing[q.target] = append(missing[q.target], q.failure(q.New))
		}
	}
	for _, t := range r.targets {
		if len(missing[t]) == 0 {
			continue
		}
		err := newUnserved(missing[t])
		if i := slices.IndexFunc(failures, func(f *Failure) bool { return f.Err.Error() == err.Error() }); i >= 0 {
			failures[i] = r.failure(StepVerify, err, append(failures[i].targets, t)...) // report an endpoint that is down once
			continue
		}
		failures = append(failures, r.failure(StepVerify, err, t))
	}
	return failures
}

// warnNotServed warns of the names that endpoints do not serve.
func (r *run) warnNotServed() {
	now := time.Now()
	for _, q := range r.queries(isNew) {
		if q.evaluate(now) == notServed {
			r.log.Warn("name not served at endpoint, as before", "cert", q.Name, "name", q.name, "endpoint", q.endpoint, "err", q.failure(q.New))
		}
	}
}

// probeAll sends each query once.
func probeAll(ctx context.Context, list []*query) {
	var g errgroup.Group
	g.SetLimit(maxProbes)
	for _, q := range list {
		g.Go(func() error {
			probing, cancel := context.WithTimeout(ctx, maxProbe)
			defer cancel()
			chain, err := probe.Dial(probing, q.endpoint, q.name)
			if failed, ok := errors.AsType[*probe.Error](err); ok && errors.Is(err, context.DeadlineExceeded) {
				failed.TimedOut, failed.Err = true, fmt.Errorf("no answer for %q in time", q.name)
			}
			switch {
			case err == nil:
				q.now = reply{leaf: chain[0]}
			case q.now.leaf == nil && q.now.err == nil || ctx.Err() == nil: // our deadline is less informative than the reply before
				q.now = reply{err: err}
			}
			return nil
		})
	}
	g.Wait()
}

// wait waits for d and reports whether ctx has not ended.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
