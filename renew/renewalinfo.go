package renew

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"keypaird/renew/problem"
)

// Backoff after a failed request for renewal information. After an answer, the CA
// chooses a time between a minute and a day.
var askAgain = []time.Duration{time.Minute, 10 * time.Minute, 100 * time.Minute, 6 * time.Hour}

const (
	maxAsk     = 24 * time.Hour
	askTimeout = 30 * time.Second // for one answer
	askAll     = time.Minute      // for all: orders wait for them
)

// renewalInfoDue reports whether to ask the CA at now, or else when.
func (s State) renewalInfoDue(now time.Time, t Target) (bool, time.Time) {
	rec := s.Record
	if s.Leaf == nil || rec.CA == "" || rec.Fingerprint != s.Fingerprint || !now.Before(s.Leaf.NotAfter) {
		return false, time.Time{} // no certificate, no known CA, or too late (section 4.3)
	}
	if !contains(t.CAs, rec.CA) {
		return false, time.Time{}
	}
	a := rec.RenewalInfo
	if a.Fingerprint != s.Fingerprint || !a.Next.After(now) || a.Next.Sub(now) > maxAsk+time.Minute { // written by a wrong clock
		return true, now
	}
	return false, a.Next
}

// updated returns a after an answer about the certificate with fingerprint. The
// chosen instant stays while the window stays.
func (a RenewalInfo) updated(fingerprint string, w SuggestedWindow, now time.Time) RenewalInfo {
	b := RenewalInfo{Fingerprint: fingerprint, Start: w.Start, End: w.End, Explanation: w.Explanation, Next: within(w.Next, now)}
	if !b.Start.IsZero() && !b.End.After(b.Start) { // not a window
		b.Start, b.End = time.Time{}, time.Time{}
	}
	switch {
	case b.Start.IsZero():
	case a.Fingerprint == fingerprint && a.Start.Equal(b.Start) && a.End.Equal(b.End) && !a.Chosen.IsZero():
		b.Chosen = a.Chosen
	default:
		b.Chosen = b.Start.Add(rand.N(b.End.Sub(b.Start))).UTC().Truncate(time.Second)
		if b.Chosen.Before(b.Start) { // which may lie within a second
			b.Chosen = b.Start
		}
	}
	return b
}

// failed returns a after a fetch that failed. The suggested window stays.
func (a RenewalInfo) failed(fingerprint string, err error, now time.Time) RenewalInfo {
	if a.Fingerprint != fingerprint {
		a = RenewalInfo{Fingerprint: fingerprint}
	}
	a.Failures, a.Error = max(a.Failures, 0)+1, problem.OneLine(err)
	wait := askAgain[len(askAgain)-1]
	var moment interface{ Temporary() bool }
	var limited interface{ Earliest() time.Time }
	switch {
	case errors.As(err, &moment) && moment.Temporary():
		wait = askAgain[min(a.Failures, len(askAgain))-1]
	case errors.As(err, &limited) && limited.Earliest().After(now):
		wait = limited.Earliest().Sub(now)
	}
	a.Next = within(now.Add(jitter(wait)), now)
	return a
}

// within bounds the time of the next request.
func within(next, now time.Time) time.Time {
	wait := min(max(next.Sub(now), time.Minute), maxAsk)
	return now.Add(wait).UTC().Truncate(time.Second)
}

// updateRenewalInfo fetches the renewal information that is due. A CA that does not
// answer gets no further requests in this pass.
func (p *Pass) updateRenewalInfo(ctx context.Context, jobs []*job) {
	if p.RenewalInfo == nil {
		return
	}
	var asks []*job
	for _, j := range jobs {
		if ask, _ := j.state.renewalInfoDue(p.now(), j.Target); ask {
			asks = append(asks, j)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, askAll)
	defer cancel()
	var mu sync.Mutex
	unreachable := map[string]bool{}
	p.each(len(asks), func(i int) {
		j, ca := asks[i], asks[i].state.Record.CA
		mu.Lock()
		skip := unreachable[ca] || ctx.Err() != nil
		mu.Unlock()
		if skip {
			return
		}
		if err := p.fetchRenewalInfo(ctx, j); err != nil {
			var moment interface{ Temporary() bool }
			mu.Lock()
			unreachable[ca] = unreachable[ca] || errors.As(err, &moment) && moment.Temporary()
			mu.Unlock()
		}
	})
}

// fetchRenewalInfo fetches and records the renewal information of one certificate.
func (p *Pass) fetchRenewalInfo(ctx context.Context, j *job) (err error) {
	defer p.recovered(&err, "cert", j.Name)
	asking, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	w, err := p.RenewalInfo.FetchRenewalInfo(asking, j.state.Record.CA, j.state.Leaf)
	if ctx.Err() != nil {
		return nil
	}
	before, now := j.state.Record.RenewalInfo, p.now()
	if err != nil {
		j.state.Record.RenewalInfo = before.failed(j.state.Fingerprint, err, now)
		p.Log.Info("renewal information not fetched", "cert", j.Name, "ca", j.state.Record.CA, "err", err, "next", j.state.Record.RenewalInfo.Next)
	} else {
		j.state.Record.RenewalInfo = before.updated(j.state.Fingerprint, w, now)
	}
	if a := j.state.Record.RenewalInfo; !a.Chosen.Equal(before.Chosen) && !a.Chosen.IsZero() {
		log := p.Log.Info
		if a.Explanation != "" {
			log = p.Log.Warn // something unusual, with a page that explains it
		}
		log("renewal window chosen", "cert", j.Name, "start", a.Start, "end", a.End, "chosen", a.Chosen, "explanation", a.Explanation)
	}
	if serr := p.save(j); serr != nil {
		p.Log.Warn("record not saved", "cert", j.Name, "step", "fetching renewal information", "err", serr)
	}
	return err
}
