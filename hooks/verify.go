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

// Verification: how long at most, how long if there is another reload to try,
// how long one probe, how many at a time, and
// how long between two looks at first and at most.
const (
	maxVerify  = 15 * time.Second
	someVerify = 2 * time.Second
	maxProbe   = 8 * time.Second // postscreen holds its greeting back for 6
	visitors   = 8
	firstPause = 10 * time.Millisecond
	maxPause   = 500 * time.Millisecond
)

// patience says how often to look.
type patience int

const (
	once   patience = iota
	aWhile          // for some seconds
	untilDeadline
)

// limit is how long looking may take.
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

// A query is one endpoint asked for one name of a target.
type query struct {
	*target
	endpoint probe.Endpoint
	name     string
	before   reply // before the first change
	now      reply // the last one
}

// A reply is what an endpoint served, or why it served nothing.
type reply struct {
	leaf *x509.Certificate
	err  error
}

// is reports whether the pair p was served.
func (a reply) is(p *keypair.Pair) bool { return a.leaf != nil && p != nil && a.leaf.Equal(p.Leaf) }

// fits reports whether a certificate was served that clients take at now for
// the name, as far as dates and names go.
func (a reply) fits(name string, now time.Time) bool {
	return a.current(now) && probe.IsFor(a.leaf, name, false)
}

// current reports whether a certificate was served that has not ended.
func (a reply) current(now time.Time) bool {
	return a.leaf != nil && !now.Before(a.leaf.NotBefore) && !now.After(a.leaf.NotAfter)
}

// disowns reports whether the endpoint is up and not one for the name: an XMPP
// server says so, others serve the certificate of other names.
func (a reply) disowns(name string, now time.Time) bool {
	return errors.Is(a.err, probe.ErrHostUnknown) || a.current(now) && !probe.IsFor(a.leaf, name, false)
}

// A verdict is what follows from the answers to a query.
type verdict int

const (
	served    verdict = iota // the new pair is
	notServed                // another's certificate or none, as before: the name is not served here
	failing                  // the new pair is not served, and the previous one was not either
	worse                    // the new pair is not served, and something was before
)

// evaluate compares the answers.
func (q *query) evaluate(now time.Time) verdict {
	wasFit, wasOurs := q.before.fits(q.name, now), q.ours(q.before)
	switch {
	case q.now.is(q.New):
		return served
	case wasFit && (wasOurs || !q.now.fits(q.name, now)):
		return worse
	case q.others(q.before, now) && q.others(q.now, now):
		return notServed
	case errors.Is(q.now.err, probe.ErrHostUnknown): // that is sure, whatever was before
		return notServed
	}
	return failing
}

// ours reports whether a is a pair of the target from before.
func (q *query) ours(a reply) bool {
	return a.is(q.Previous) || a.is(q.back.pair) || a.is(q.target.before.pair)
}

// others reports whether the endpoint serves the name not at all, or with
// another target's certificate: not with an older or a twin of the new one,
// which is for the same names.
func (q *query) others(a reply, now time.Time) bool {
	if failed, ok := errors.AsType[*probe.Error](a.err); ok && failed.Stage == probe.Handshaking && !failed.TimedOut {
		return true // some servers refuse the handshake for names they do not know
	}
	if a.leaf == nil {
		return errors.Is(a.err, probe.ErrHostUnknown)
	}
	return a.current(now) && !a.is(q.New) && !q.ours(a) && !sameNames(a.leaf, q.New.Leaf)
}

// sameNames reports whether two certificates are for the same names.
func sameNames(a, b *x509.Certificate) bool {
	set := func(c *x509.Certificate) []string {
		list := slices.Clone(c.DNSNames)
		for _, ip := range c.IPAddresses {
			list = append(list, ip.String())
		}
		slices.Sort(list)
		return slices.Compact(list)
	}
	return slices.Equal(set(a), set(b))
}

// failure says why the pair want is not served.
func (q *query) failure(want *keypair.Pair) error {
	if q.now.err != nil {
		return q.now.err
	}
	return &probe.StaleError{
		Endpoint: q.endpoint, ServerName: q.name, NotAfter: q.now.leaf.NotAfter,
		Got: probe.Fingerprint(q.now.leaf), Want: want.Fingerprint(),
	}
}

// queriesFor lists what to ask about a target: at every endpoint, for every name.
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

// queries lists those of all targets that are wanted.
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

// isNew reports whether the new pair is for the name that is asked for.
func isNew(q *query) bool { return slices.Contains(q.New.Names(), q.name) }

// probeBefore asks what is served before the first change.
func (r *run) probeBefore(ctx context.Context) {
	all := r.queries(func(*query) bool { return true })
	limited, cancel := context.WithTimeout(ctx, r.limit(untilDeadline))
	defer cancel()
	probeAll(limited, all)
	for _, q := range all {
		q.before = q.now
	}
}

// verify probes until the new pairs are served, and returns the targets that
// are not. A server takes a moment to follow a reload, and says nothing when it
// has.
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
		r.warnElsewhere()
	}
	return failures
}

// poll probes each query of list until it is answered well, time is up, or, when
// some time has passed, enough holds. It returns how many are left.
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

// evaluate returns the targets that are not verified by the last answers, each with
// all that is missing.
//
// A name that is not served at an endpoint, and was not before, is not demanded
// there. But something has to be served at each endpoint, unless nothing was when
// the previous pair was verified; and a target that is served nowhere has to be
// unknown everywhere, not served with another certificate.
func (r *run) evaluate() []*Failure {
	now := time.Now()
	seenAt, seen := map[probe.Endpoint]bool{}, map[*target]bool{}
	list := r.queries(isNew)
	for _, q := range list {
		if q.evaluate(now) == served {
			seenAt[q.endpoint], seen[q.target] = true, true
		}
	}
	var failures []*Failure
	missing := map[*target][]error{}
	for _, q := range list {
		switch v := q.evaluate(now); {
		case v == served:
		case v == notServed && (seenAt[q.endpoint] || q.WasVerified) && (seen[q.target] || q.now.disowns(q.name, now)):
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
			failures[i] = r.failure(StepVerify, err, append(failures[i].targets, t)...) // an endpoint that is down is said once
			continue
		}
		failures = append(failures, r.failure(StepVerify, err, t))
	}
	return failures
}

// warnElsewhere warns of the names that endpoints do not serve.
func (r *run) warnElsewhere() {
	now := time.Now()
	for _, q := range r.queries(isNew) {
		if q.evaluate(now) == notServed {
			r.log.Warn("name not served at endpoint, as before", "cert", q.Name, "name", q.name, "endpoint", q.endpoint, "err", q.failure(q.New))
		}
	}
}

// probeAll asks each query once.
func probeAll(ctx context.Context, list []*query) {
	var g errgroup.Group
	g.SetLimit(visitors)
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
			case q.now.leaf == nil && q.now.err == nil || ctx.Err() == nil: // an answer that our deadline ended says less than the one before
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
