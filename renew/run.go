package renew

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"keypaird/renew/problem"
)

// Run processes targets once. A failure of one does not delay another.
func (p *Pass) Run(ctx context.Context, targets []Target) Report {
	p.failedCAs, p.unreachable = map[string]error{}, map[string]bool{}
	if p.Records == nil {
		p.Records = new(Records)
	}
	var errs failures
	orders, stop := p.stopOnYield(ctx)
	defer stop()
	jobs := p.loadAll(ctx, targets, &errs)
	// Targets without a certificate are not delayed by renewal-info requests.
	afterOrders := p.Mode == Scheduled && slices.ContainsFunc(jobs, func(j *job) bool { return j.stateErr == nil && j.state.Leaf == nil })
	if !afterOrders {
		p.updateRenewalInfo(orders, jobs)
	}
	p.queryTLSA(orders, jobs)
	active := p.decideAll(jobs, p.Mode, &errs)
	if len(active) > 0 && p.Beside != nil { // a reload loads what somebody did to their files, too
		more := slices.DeleteFunc(p.decideAll(p.loadAll(ctx, p.Beside(), &errs), Scheduled, &errs), func(j *job) bool { return j.decision.Action != Deploy })
		jobs, active = append(jobs, more...), append(active, more...)
	}
	p.deployAll(ctx, p.obtainAll(orders, active, &errs), &errs)
	p.fetching.Wait()
	p.refresh(active)
	p.updateRenewalInfo(orders, slices.DeleteFunc(slices.Clone(jobs), func(j *job) bool { return !afterOrders && j.issuer == nil }))
	if orders.Err() != nil {
		errs.add(context.Cause(orders))
	}
	r := Report{Errs: errs.list, Interrupted: orders.Err() != nil, Next: p.nextAll(jobs), Targets: make([]TargetState, 0, len(jobs))}
	for _, j := range jobs {
		r.Targets = append(r.Targets, TargetState{j.Target, j.state, j.stateErr})
		if j.Sharing != nil {
			j.Sharing.Reported(j.state, j.stateErr)
		}
	}
	for _, j := range active {
		p.step(j.Name, "")
		if j.issuer == nil && !j.activated {
			continue
		}
		done := Done{Target: j.Name, Action: j.decision.Action, NotAfter: j.state.Leaf.NotAfter.UTC(), Why: j.decision.Why}
		if j.issuer != nil {
			done.CA = j.issuer.String()
		}
		r.Done = append(r.Done, done)
	}
	return r
}

// stopOnYield returns a context that also ends when the pass must yield.
func (p *Pass) stopOnYield(ctx context.Context) (context.Context, func()) {
	orders, cancel := context.WithCancelCause(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-p.Yield: // never, if it is nil
			cancel(ErrYield)
		case <-orders.Done():
		}
	})
	return orders, func() {
		cancel(nil)
		watch.Wait()
	}
}

// loadAll reads the state of each target, of several at once.
func (p *Pass) loadAll(ctx context.Context, targets []Target, errs *failures) []*job {
	jobs := make([]*job, len(targets))
	p.each(len(targets), func(i int) {
		if ctx.Err() == nil {
			j := &job{Target: targets[i], index: i}
			p.load(j)
			jobs[i] = j
		}
	})
	jobs = slices.DeleteFunc(jobs, func(j *job) bool { return j == nil })
	var compared []*job
	for _, j := range jobs {
		if j.stateErr != nil {
			errs.add(&TargetError{[]string{j.Name}, "reading its state", j.stateErr})
			continue
		}
		p.retrySave(j)
		if changed, err := p.compareFiles(j); err != nil {
			j.stateErr = err // what is stored is older than what is used: nothing follows from it
			errs.add(&TargetError{[]string{j.Name}, "storing the newer certificate that is deployed", err})
		} else if changed {
			compared = append(compared, j)
		}
	}
	p.eachOnDisk(len(compared), func(i int) { p.saveOrWarn(compared[i], "comparing deployed files") })
	p.share(ctx, jobs, errs)
	return jobs
}

// retrySave writes again a record that could not be written.
func (p *Pass) retrySave(j *job) {
	if rec, unsaved := p.Records.Pending(p.Store, j.Name); unsaved {
		j.state.Record = rec
		p.saveOrWarn(j, "trying again")
	}
}

// decideAll returns the jobs with an action.
func (p *Pass) decideAll(jobs []*job, mode Mode, errs *failures) []*job {
	var active []*job
	for _, j := range jobs {
		if j.stateErr != nil {
			continue
		}
		now := p.now()
		j.state.NextDeployWindow = p.nextDeployWindow(now)
		LoadLimits(now, j.Target, &j.state, mode)
		d := Decide(now, j.Target, j.state, mode)
		j.decision = d
		if d.Action == Issue || d.Action == Deploy {
			p.Log.Info("decided", "cert", j.Name, "action", string(d.Action), "why", d.Why)
			active = append(active, j)
			continue
		}
		p.Log.Debug("decided", "cert", j.Name, "action", string(d.Action), "why", d.Why, "at", d.At)
		switch {
		case d.Action == Wait && mode == Redeploy:
			errs.add(&TargetError{[]string{j.Name}, "deploying", problem.New(d.Why, "keypaird issue "+j.Name)})
		case d.Action == Wait && mode != Scheduled: // for a limit or a TLSA record: a manual pass does not wait for a backoff
			errs.add(&TargetError{[]string{j.Name}, j.Obtaining("").String(), p.refusedError(j, now)})
		}
	}
	return active
}

// refusedError returns why a needed certificate is not ordered.
func (p *Pass) refusedError(j *job, now time.Time) error {
	if hold := j.state.OrderHold; hold.Err != nil {
		return fmt.Errorf("%s, but %w", needsCertificate(now, j.Target, j.state, p.Mode), hold.Err)
	}
	if j.rollover().Held(now) != "" {
		return j.rollover().HeldError(now)
	}
	_, _, but := j.state.availableIssuers(now, j.Target, p.Mode)
	return fmt.Errorf("%s, but %w", needsCertificate(now, j.Target, j.state, p.Mode), but)
}

// refresh loads the state of processed targets again.
func (p *Pass) refresh(jobs []*job) {
	p.each(len(jobs), func(i int) {
		j := jobs[i]
		if id, err := p.Store.LiveID(j.Name); err == nil && id == j.newest.ID && id == j.state.Version { // it was read in this pass
			j.state.Live, j.state.InUse = true, j.state.Leaf
			j.state.inspect(p.Store, j.Target, j.newest)
		} else if s, err := LoadState(p.Store, j.Target); err == nil && s.Leaf != nil {
			s.Record, s.Next = j.state.Record, j.state.Next
			j.state = s
		}
	})
}

// nextAll returns when each target needs the next pass.
func (p *Pass) nextAll(jobs []*job) map[string]time.Time {
	now, next := p.now(), make(map[string]time.Time, len(jobs))
	soon := now.Add(time.Minute)
	for _, j := range jobs {
		if j.stateErr != nil {
			continue // at the next scheduled pass
		}
		j.state.NextDeployWindow = p.nextDeployWindow(now)
		LoadHolds(now, j.Target, &j.state, Scheduled)
		LoadLimits(now, j.Target, &j.state, Scheduled)
		at := soon // its action is due but failed
		if d := Decide(now, j.Target, j.state, Scheduled); d.Action == Wait || d.Action == None {
			at = d.next(now)
			if meanwhile, _ := decideMeanwhile(now, j.Target, j.state, Scheduled); meanwhile.Action == Wait {
				at = earlier(at, meanwhile.next(now)) // a deployment need not wait for the next order
			}
		}
		for _, notice := range []time.Time{j.state.OverdueAt(j.Target), j.state.ends()} {
			if notice.After(now) { // the operator is to be notified then
				at = earlier(at, notice)
			}
		}
		if _, ask := j.state.renewalInfoDue(now, j.Target); !ask.IsZero() {
			at = earlier(at, later(ask, soon))
		}
		if query := j.state.Record.TLSA.QueryAt; j.Resolver != nil && len(j.TLSA) > 0 {
			at = earlier(at, later(query, soon))
		}
		next[j.Name] = later(at, now.Add(time.Second))
	}
	return next
}
