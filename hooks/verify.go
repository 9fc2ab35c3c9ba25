package hooks

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"keypaird/hooks/expect"
	"keypaird/renew"
	"keypaird/renew/keypair"
	"keypaird/renew/problem"
	"keypaird/renew/seen"
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

// findAddresses has the queries sent to each address of their endpoints.
func (r *run) findAddresses(ctx context.Context) {
	all := expect.EachAddress(ctx, r.queries(anyQuery))
	for _, t := range r.targets {
		t.queries = nil
		for _, q := range all {
			if q.Target != t.served {
				continue
			}
			q.WasServed = t.Seen[q.Endpoint.String()].Expects(q.ServerName, addressText(q.Addr))
			t.queries = append(t.queries, q)
		}
	}
}

// addressText returns the address as text; "" if it is one of several.
func addressText(addr netip.Addr) string {
	if !addr.IsValid() {
		return ""
	}
	return addr.String()
}

func anyQuery(*target, *expect.Query) bool { return true }

// probeBefore probes all endpoints before the first change.
func (r *run) probeBefore(ctx context.Context) {
	r.findAddresses(ctx)
	all := r.queries(anyQuery)
	for _, q := range all { // if there is no way to any address, that is a failure
		q.Unreachable = q.Unreachable && slices.ContainsFunc(all, func(other *expect.Query) bool { return other.Endpoint == q.Endpoint && !other.Unreachable })
	}
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
var states = map[expect.Verdict]string{
	expect.Served: seen.Served, expect.NotServed: seen.Absent, expect.Failing: seen.Failing, expect.Unknown: seen.Unreachable,
}

// seen describes what the endpoints serve of a target. Without a result, no name of it
// is requested anywhere.
func (r *run) seen(result *expect.Result) map[string]seen.Endpoint {
	all, now := map[string]seen.Endpoint{}, time.Now().UTC().Truncate(time.Second)
	for _, at := range r.Verify {
		if _, known := all[at.Endpoint.String()]; !known {
			all[at.Endpoint.String()] = seen.Endpoint{State: seen.Nothing}
		}
		if result == nil {
			continue
		}
		if s, ok := result.Endpoints[at.Endpoint]; ok {
			e := seen.Endpoint{State: states[s.Verdict], At: now}
			if s.Err != nil {
				e.Error, e.Remedy = problem.OneLine(s.Err), problem.Remedy(s.Err)
			}
			for _, q := range s.Absent {
				e.Absent = append(e.Absent, seen.Place(q.ServerName, addressText(q.Addr)))
			}
			for addr, v := range s.Addresses {
				if e.Addresses == nil {
					e.Addresses = map[string]string{}
				}
				e.Addresses[addr.String()] = states[v]
			}
			all[at.Endpoint.String()] = e
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

// Probe implements renew.Deployer.
func (d *Deployment) Probe(ctx context.Context, changes []renew.Change) []renew.Result {
	r := d.newRun()
	for _, c := range changes {
		t := &target{Change: c}
		t.queries = r.queriesFor(t)
		r.targets = append(r.targets, t)
	}
	r.findAddresses(ctx)
	all := r.queries(anyQuery)
	expect.Recheck(ctx, all)
	compared := expect.Compare(all)
	results := make([]renew.Result, len(changes))
	for i, t := range r.targets {
		result := compared[t.served]
		if result != nil && result.Err != nil {
			results[i] = renew.Result{Outcome: renew.Reloaded, Err: result.Err, Endpoints: r.seen(result)}
		} else if !slices.ContainsFunc(t.queries, func(q *expect.Query) bool { return !q.Certain() }) {
			results[i] = renew.Result{Outcome: renew.Verified, Endpoints: r.seen(result)}
		}
	}
	return results
}
