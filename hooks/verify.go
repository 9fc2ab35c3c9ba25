package hooks

import (
	"context"
	"slices"
	"time"

	"keypaird/hooks/expect"
	"keypaird/renew"
	"keypaird/renew/keypair"
	"keypaird/renew/problem"
)

// Limits of verification.
const (
	maxVerify  = 15 * time.Second
	someVerify = 2 * time.Second // if another reload can follow
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

// polling returns the limits of polling.
func (d *Deployment) polling(p patience) expect.Patience {
	return expect.Patience{Limit: d.limit(p), Some: d.limit(aWhile), Once: p == once}
}

// queriesFor lists the queries of a target: at each endpoint the names that are
// expected there.
func (r *run) queriesFor(t *target) []*expect.Query {
	t.served = &expect.Target{
		Name: t.Name, New: t.New, WasVerified: t.WasVerified,
		Earlier: []*keypair.Pair{t.Previous, t.back.pair, t.before.pair},
	}
	names := t.New.Names()
	if t.back.pair != nil {
		for _, name := range t.back.pair.Names() {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	var list []*expect.Query
	for _, e := range r.Verify {
		for _, name := range e.Expected(names, t.Domain, t.Components) {
			list = append(list, &expect.Query{Target: t.served, Endpoint: e.Endpoint, ServerName: name, Want: t.New})
		}
	}
	return list
}

// queries lists the queries of all targets for which want holds.
func (r *run) queries(want func(*target, *expect.Query) bool) []*expect.Query {
	var list []*expect.Query
	for _, t := range r.targets {
		for _, q := range t.queries {
			if want(t, q) {
				list = append(list, q)
			}
		}
	}
	return list
}

// isNew reports whether the new pair is for the name of the query.
func isNew(t *target, q *expect.Query) bool { return slices.Contains(t.New.Names(), q.ServerName) }

// probeBefore probes all endpoints before the first change.
func (r *run) probeBefore(ctx context.Context) {
	all := r.queries(func(*target, *expect.Query) bool { return true })
	limited, cancel := context.WithTimeout(ctx, r.limit(untilDeadline))
	defer cancel()
	expect.Probe(limited, all)
	for _, q := range all {
		q.Before = q.Now
	}
}

// verify probes until the endpoints serve the new pairs, and returns the targets
// that failed. A server takes a moment to complete a reload and does not report it.
func (r *run) verify(ctx context.Context, p patience) []*Failure {
	left := expect.Poll(ctx, r.queries(isNew), r.polling(p), func() bool { return len(r.evaluate()) == 0 })
	if err := ctx.Err(); err != nil {
		return r.all(StepVerify, err)
	}
	failures := r.evaluate()
	if len(failures) == 0 && len(left) > 0 {
		r.warnNotServed()
	}
	return failures
}

// evaluate returns the targets that the latest replies do not verify, each with all
// its errors.
func (r *run) evaluate() []*Failure {
	results := expect.Evaluate(r.queries(isNew), time.Now())
	var failures []*Failure
	for _, t := range r.targets {
		result := results[t.served]
		t.seen = r.seen(result)
		if result == nil || result.Err == nil {
			continue
		}
		err := result.Err
		if i := slices.IndexFunc(failures, func(f *Failure) bool { return f.Err.Error() == err.Error() }); i >= 0 {
			failures[i] = r.failure(StepVerify, err, append(failures[i].targets, t)...) // report an endpoint that is down once
			continue
		}
		failures = append(failures, r.failure(StepVerify, err, t))
	}
	return failures
}

// states are those of what an endpoint serves.
var states = map[expect.Verdict]string{expect.Served: renew.SeenServed, expect.NotServed: renew.SeenAbsent, expect.Failing: renew.SeenFailing}

// seen describes what the endpoints serve of a target. Without a result, no name of it
// is requested anywhere.
func (r *run) seen(result *expect.Result) map[string]renew.Seen {
	all, now := map[string]renew.Seen{}, time.Now().UTC().Truncate(time.Second)
	for _, at := range r.Verify {
		if _, known := all[at.Endpoint.String()]; !known {
			all[at.Endpoint.String()] = renew.Seen{State: renew.SeenNothing}
		}
		if result == nil {
			continue
		}
		if s, ok := result.Endpoints[at.Endpoint]; ok {
			seen := renew.Seen{State: states[s.Verdict], At: now}
			if s.Err != nil {
				seen.Error, seen.Remedy = problem.OneLine(s.Err), problem.Remedy(s.Err)
			}
			all[at.Endpoint.String()] = seen
		}
	}
	return all
}

// warnNotServed warns of the names that endpoints do not serve.
func (r *run) warnNotServed() {
	now := time.Now()
	for _, q := range r.queries(isNew) {
		if q.Evaluate(now) == expect.NotServed {
			r.log.Warn("name not served at endpoint, as before", "cert", q.Name, "name", q.ServerName, "endpoint", q.Endpoint, "err", q.Failure())
		}
	}
}
