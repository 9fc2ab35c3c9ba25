package renew

import (
	"context"
	"crypto/x509"
	"errors"
	"slices"
	"time"

	"keypaird/renew/renewalinfo"
)

const (
	askTimeout = 30 * time.Second // for one answer
	askAll     = time.Minute      // for all: orders wait for them
)

// fetcher returns the CA to ask about the newest certificate; nil: none. If the record
// that named its issuer was lost, that is each CA in turn, until one knows it.
func (s State) fetcher(t Target) (ca string, f RenewalInfoFetcher) {
	ca = s.issuer()
	if n := len(t.Issuers); ca == "" && n > 0 && s.Record.CA != NameOfExternal {
		ca = t.Issuers[s.Record.RenewalInfo.Failures%n].String()
	}
	f, _ = t.issuer(ca).(RenewalInfoFetcher)
	return ca, f
}

var errUnknownIssuer = errors.New("the record does not say which CA issued the certificate, and this one suggests no window for it")

// renewalInfoDue reports whether to ask the CA at now, or else when.
func (s State) renewalInfoDue(now time.Time, t Target) (bool, time.Time) {
	if _, f := s.fetcher(t); f == nil || s.Leaf == nil || !now.Before(s.Leaf.NotAfter) || s.OrderHold.Err != nil {
		return false, time.Time{} // no known CA, no certificate, too late (section 4.3), or another machine asks
	}
	next := s.Record.RenewalInfo.NextQuery(s.Fingerprint, now)
	return !next.After(now), next
}

// A renewalQuery asks a CA for the renewal information of the certificate of a job. It is
// apart from the state of the job, which changes meanwhile.
type renewalQuery struct {
	job  *job
	ca   string
	leaf *x509.Certificate
	from RenewalInfoFetcher
}

// A renewalAnswer is the CA's answer to a renewalQuery.
type renewalAnswer struct {
	ca     string
	window renewalinfo.SuggestedWindow
	err    error
}

// updateRenewalInfo fetches the renewal information that is due, and records it.
func (p *Pass) updateRenewalInfo(ctx context.Context, jobs []*job) {
	p.fetchRenewalInfo(ctx, p.renewalInfoDue(jobs))
	answered := slices.DeleteFunc(slices.Clone(jobs), func(j *job) bool { return !p.takeRenewalInfo(j) })
	p.eachOnDisk(len(answered), func(i int) { p.saveOrWarn(answered[i], "fetching renewal information") })
}

// startRenewalInfo fetches the renewal information of a new certificate while others are
// ordered. The deployment does not wait for it: it is recorded with that, or later.
func (p *Pass) startRenewalInfo(ctx context.Context, j *job) {
	if queries := p.renewalInfoDue([]*job{j}); len(queries) > 0 {
		p.fetching.Go(func() { p.fetchRenewalInfo(ctx, queries) })
	}
}

// renewalInfoDue lists the queries that are due, one for each certificate.
func (p *Pass) renewalInfoDue(jobs []*job) (queries []renewalQuery) {
	for _, j := range jobs {
		if due, _ := j.state.renewalInfoDue(p.now(), j.Target); due && !j.asked && p.Mode != Redeploy {
			j.asked = true
			ca, f := j.state.fetcher(j.Target)
			queries = append(queries, renewalQuery{j, ca, j.state.Leaf, f})
		}
	}
	return queries
}

// fetchRenewalInfo asks about certificates. A CA that cannot answer at the moment is
// not asked about the others, and what one that is slow leaves no time for is asked
// in the next pass.
func (p *Pass) fetchRenewalInfo(ctx context.Context, queries []renewalQuery) {
	ctx, cancel := context.WithTimeout(ctx, askAll)
	defer cancel()
	p.each(len(queries), func(i int) {
		q := queries[i]
		p.mu.Lock()
		skip := p.unreachable[q.ca] || ctx.Err() != nil
		p.mu.Unlock()
		if skip {
			return
		}
		asking, cancel := context.WithTimeout(ctx, askTimeout)
		defer cancel()
		w, err := p.askRenewalInfo(asking, q)
		if ctx.Err() != nil {
			return
		}
		q.job.answer.Store(&renewalAnswer{q.ca, w, err})
		var moment interface{ Temporary() bool }
		if errors.As(err, &moment) && moment.Temporary() {
			p.mu.Lock()
			p.unreachable[q.ca] = true
			p.mu.Unlock()
		}
	})
}

func (p *Pass) askRenewalInfo(ctx context.Context, q renewalQuery) (w renewalinfo.SuggestedWindow, err error) {
	defer p.recovered(&err, "cert", q.job.Name)
	return q.from.RenewalInfo(ctx, q.leaf)
}

// takeRenewalInfo puts the answer of the CA, if there is one, into the record of a
// job, which is to be saved then.
func (p *Pass) takeRenewalInfo(j *job) bool {
	answer := j.answer.Swap(nil)
	if answer == nil {
		return false
	}
	before, now, rec := j.state.Record.RenewalInfo, p.now(), &j.state.Record
	switch known := j.state.issuer() != ""; {
	case !known && answer.err == nil && answer.window.Start.IsZero():
		answer.err = errUnknownIssuer
	case !known && answer.err == nil:
		p.Log.Info("issuer found", "cert", j.Name, "ca", answer.ca)
		rec.Fingerprint, rec.CA, rec.Profile, rec.IssuedAt = j.state.Fingerprint, answer.ca, j.Profile, j.state.Leaf.NotBefore.UTC()
	}
	if err := answer.err; err != nil {
		j.state.Record.RenewalInfo = before.Failed(j.state.Fingerprint, err, now)
		p.Log.Info("renewal information not fetched", "cert", j.Name, "ca", answer.ca, "err", err, "next", j.state.Record.RenewalInfo.Next)
	} else {
		j.state.Record.RenewalInfo = before.Updated(j.state.Fingerprint, answer.window, now)
	}
	if a := j.state.Record.RenewalInfo; !a.Chosen.Equal(before.Chosen) && !a.Chosen.IsZero() {
		log := p.Log.Info
		if a.Explanation != "" {
			log = p.Log.Warn // something unusual, with a page that explains it
		}
		log("renewal window chosen", "cert", j.Name, "start", a.Start, "end", a.End, "chosen", a.Chosen, "explanation", a.Explanation)
	}
	return true
}
