package renew

import (
	"context"
	"crypto/x509"
	"errors"
	"slices"
	"time"

	"keypaird/renew/backoff"
	"keypaird/renew/rollover"
	"keypaird/renew/tlsa"
)

// queryTimeout bounds all queries of a pass for TLSA records.
const queryTimeout = time.Minute

// queryTLSA ensures that each target with TLSA records has a next key, and queries
// the records that are due.
func (p *Pass) queryTLSA(ctx context.Context, jobs []*job) {
	for _, j := range jobs {
		p.dropNextKey(j)
	}
	jobs = slices.DeleteFunc(slices.Clone(jobs), func(j *job) bool {
		return len(j.TLSA) == 0 || j.stateErr != nil || p.Mode == Redeploy || j.state.OrderHold.Err != nil
	})
	p.each(len(jobs), func(i int) {
		if err := p.ensureNextKey(ctx, jobs[i]); err != nil && ctx.Err() == nil {
			p.Log.Error("no next key", "cert", jobs[i].Name, "err", err, "remedy", Remedy(err))
		}
	})
	type query struct {
		job  *job
		name string
		set  rollover.RecordSet
		err  error
	}
	var queries []*query
	for _, j := range jobs {
		if j.Resolver != nil && p.tlsaDue(j) {
			for _, name := range j.TLSA {
				queries = append(queries, &query{job: j, name: name})
			}
		}
	}
	querying, cancel := context.WithTimeoutCause(ctx, queryTimeout, errors.New("no answer in time"))
	defer cancel()
	p.each(len(queries), func(i int) {
		q := queries[i]
		defer p.recovered(&q.err, "cert", q.job.Name)
		q.set, q.err = q.job.Resolver.TLSA(querying, q.name)
	})
	if ctx.Err() != nil {
		return
	}
	for _, q := range queries {
		p.observe(q.job, q.name, q.set, q.err)
	}
	for i, q := range queries {
		if i == 0 || queries[i-1].job != q.job {
			p.evaluateTLSA(q.job)
		}
	}
}

// tlsaDue reports whether to query the records of a target now: at the recorded time,
// in a manual pass, and before an order.
func (p *Pass) tlsaDue(j *job) bool {
	now, at := p.now(), j.state.Record.TLSA.QueryAt
	return p.Mode != Scheduled || !at.After(now) || at.Sub(now) > rollover.MaxQueryInterval+time.Minute || needsCertificate(now, j.Target, j.state, p.Mode) != ""
}

// observe records the result of one query.
func (p *Pass) observe(j *job, name string, set rollover.RecordSet, err error) {
	d := &j.state.Record.TLSA
	if d.Names == nil {
		d.Names = map[string]rollover.Observation{}
	}
	before := d.Names[name].Unsettled(d.Made, p.now())
	if err == nil {
		err = d.CheckSize(j.TLSA, name, set)
	}
	if err != nil {
		d.Names[name] = before.Failed(err)
		p.Log.Info("TLSA query failed", "cert", j.Name, "name", name, "err", err)
		return
	}
	o := before.Answered(set, j.state.Next, p.now())
	d.Names[name] = o
	if len(o.Records) > 0 && !o.Secure && (before.Secure || len(before.Records) == 0) {
		p.Log.Warn("TLSA records are not DNSSEC-validated, peers ignore them", "cert", j.Name, "name", name)
	}
	switch {
	case before.Since.IsZero() && !o.Since.IsZero():
		p.Log.Info("TLSA record of the next key seen", "cert", j.Name, "name", name, "trusted_from", o.TrustedFrom())
	case !before.Since.IsZero() && o.Since.IsZero():
		p.Log.Warn("TLSA record of the next key is gone", "cert", j.Name, "record", tlsa.ZoneLine(name, j.state.Next.TLSA()))
	}
}

// evaluateTLSA records whether the records of a target match, and the time of the
// next query.
func (p *Pass) evaluateTLSA(j *job) {
	now, d := p.now(), &j.state.Record.TLSA
	for name := range d.Names { // that are no longer configured
		if !slices.Contains(j.TLSA, name) {
			delete(d.Names, name)
		}
	}
	held, err := j.rollover().Mismatch(now, j.Name)
	if err != nil {
		if d.Attempt.Failures == 0 && (p.Mode == Scheduled || !held) { // a manual pass returns the error of a held order
			p.Log.Warn("TLSA records do not match", "cert", j.Name, "err", err, "remedy", Remedy(err))
		}
		d.Attempt = d.Attempt.Failed(err, now, time.Time{})
	} else {
		d.Attempt = backoff.Attempt{}
	}
	d.QueryAt = j.rollover().NextQuery(now, d.Attempt.Failures > 0).UTC().Truncate(time.Second)
	p.saveOrWarn(j, "querying TLSA records")
}

// afterOrder makes the next key after an order that began at a time and replaced the
// certificate before, and logs the records to publish.
func (p *Pass) afterOrder(ctx context.Context, j *job, began time.Time, before *x509.Certificate) {
	if len(j.TLSA) == 0 {
		return
	}
	if before != nil && tlsa.Record(before.RawSubjectPublicKeyInfo) == tlsa.Record(j.state.Leaf.RawSubjectPublicKeyInfo) {
		why := "the TLSA record of the next key was not visible everywhere for two TTLs"
		if j.rollover().Ready(began) {
			why = "the order was already pending"
		}
		p.Log.Warn("key kept", "cert", j.Name, "why", why)
	}
	if err := p.ensureNextKey(ctx, j); err != nil {
		p.Log.Error("no next key", "cert", j.Name, "err", err, "remedy", Remedy(err))
		return
	}
	for _, line := range j.rollover().Missing() {
		p.Log.Warn("TLSA record to publish", "cert", j.Name, "record", line)
	}
}
