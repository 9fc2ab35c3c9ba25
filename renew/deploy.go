package renew

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"time"

	"keypaird/renew/backoff"
	"keypaird/renew/problem"
	"keypaird/renew/seen"
)

// batchDelay is how long a pair waits at most for others of its pass, so that one
// reload does for all, and an order that hangs does not hold them up.
const batchDelay = time.Minute

// deployAll takes the pairs of jobs to their deployments as they come, many at a
// time.
func (p *Pass) deployAll(ctx context.Context, jobs <-chan *job, errs *failures) {
	var batch []*job
	var patience <-chan time.Time
	for open := true; open; {
		select {
		case j, ok := <-jobs:
			if open = ok; open {
				batch = append(batch, j)
			}
			if len(batch) == 1 && open {
				patience = time.After(batchDelay)
			}
			if open {
				continue
			}
		case <-patience:
		}
		slices.SortFunc(batch, func(a, b *job) int { return a.index - b.index }) // not by who was first done
		p.deployBatch(ctx, batch, errs)
		batch, patience = nil, nil
	}
}

// deployBatch takes every pair that is not in use yet to its deployments, each
// deployment once. Where no new pair could be had, the one before it may still
// be waiting.
func (p *Pass) deployBatch(ctx context.Context, jobs []*job, errs *failures) {
	activated := make([]bool, len(jobs))
	p.eachOnDisk(len(jobs), func(i int) {
		j := jobs[i]
		now := p.now()
		j.state.NextDeployWindow = p.nextDeployWindow(now)
		LoadHolds(now, j.Target, &j.state, p.Mode)
		// What may not be deployed yet does not become live: live is what is in use.
		d, ok := decideMeanwhile(now, j.Target, j.state, p.Mode)
		if !ok || p.draining(ctx) {
			return
		}
		if j.issuer == nil { // no certificate was needed, or none could be obtained
			j.decision = d
		}
		err := p.activate(j)
		if activated[i] = err == nil; err != nil {
			errs.add(&TargetError{[]string{j.Name}, "switching to its new version", err})
			p.recordActivationFailure(j, err)
		}
	})
	var ready []*job
	for i, j := range jobs {
		if activated[i] {
			ready = append(ready, j)
		}
	}
	for _, d := range p.deployers(ready) {
		if p.draining(ctx) {
			break
		}
		p.deploy(ctx, d, ready, errs)
	}
	p.eachOnDisk(len(ready), func(i int) {
		j := ready[i]
		if err := p.restoreLive(ctx, j); err != nil {
			errs.add(&TargetError{[]string{j.Name}, "switching back to its version before", err})
		}
		if err := p.Store.Prune(j.Name, j.state.Record.InUse()...); err != nil {
			p.Log.Warn("old versions not removed", "cert", j.Name, "err", err)
		}
	})
}

// draining reports whether the pass must begin nothing more. A deployment that has
// begun is finished, unless the process ends.
func (p *Pass) draining(ctx context.Context) bool {
	select {
	case <-p.Yield:
		return true
	default:
		return ctx.Err() != nil
	}
}

// activate makes the newest version live, and tidies up after a killed run.
func (p *Pass) activate(j *job) (err error) {
	j.newest, j.previousLive, err = p.Store.Activate(j.Name, j.state.Version)
	if err != nil {
		return err
	}
	if j.newest.ID != j.state.Version {
		if len(j.newest.Skipped) > 0 {
			return j.newest.Skipped[0]
		}
		return problem.Newf("look again: keypaird issue "+j.Name, "version %s appeared meanwhile", j.newest.ID)
	}
	if j.issuer == nil { // else it is done
		p.forgetOrder(j, j.newest.Pair.Leaf)
	}
	j.activated = (!j.state.Live || j.state.repaired) && len(p.deployers([]*job{j})) == 0 // nothing else is missing
	j.state.repaired = false
	return nil
}

// recordActivationFailure keeps that the newest version could not be made live: each
// deployment that waits for it has failed once more.
func (p *Pass) recordActivationFailure(j *job, err error) {
	now := p.now()
	for _, deployer := range p.deployers([]*job{j}) {
		name := deployer.String()
		d := j.state.Record.Deployments[name]
		if p.Mode == Scheduled && d.Attempt.Waits(now) {
			continue
		}
		d.Attempt = d.Attempt.Failed(fmt.Errorf("switching to the new version: %w", err), now, j.state.ends())
		j.state.Record.SetDeployment(name, d)
	}
	if err := p.save(j); err != nil {
		p.Log.Warn("failure not recorded", "cert", j.Name, "err", err, "remedy", Remedy(err))
	}
}

// restoreLive makes the previous version live again if every deployment was rolled
// back to it: live is what is in use.
func (p *Pass) restoreLive(ctx context.Context, j *job) error {
	if j.rollbackTo.ID == "" || j.installed || ctx.Err() != nil || slices.Contains(j.state.Record.InUse(), j.state.Fingerprint) {
		return nil
	}
	if j.previousLive.ID != "" { // most deployments were rolled back to it
		return p.Store.SetLive(j.Name, j.previousLive)
	}
	return p.Store.SetLive(j.Name, j.rollbackTo)
}

// deployers lists the deployments that have something to do, in the order of the
// configuration.
func (p *Pass) deployers(jobs []*job) []Deployer {
	var list []Deployer
	for _, j := range jobs {
		for _, d := range j.Deploy {
			if p.wants(j, d) && !slices.Contains(list, d) {
				list = append(list, d)
			}
		}
	}
	return list
}

// wants reports whether a target of the pass has something to do in a deployment.
func (p *Pass) wants(j *job, d Deployer) bool {
	return slices.Contains(j.Deploy, d) && (p.Mode == Redeploy || !j.state.Done(d.String()))
}

// deploy runs one deployment for all the targets that wait for it.
func (p *Pass) deploy(ctx context.Context, d Deployer, ready []*job, errs *failures) {
	name := d.String()
	var batch []*job
	var changes []Change
	for _, j := range ready {
		if !p.wants(j, d) || p.Mode == Scheduled && j.state.Record.Deployments[name].Attempt.Waits(p.now()) {
			continue
		}
		c, err := p.change(j, name)
		if err != nil {
			errs.add(&TargetError{[]string{j.Name}, deploying(name), err})
			continue
		}
		p.step(j.Name, deploying(name))
		batch, changes = append(batch, j), append(changes, c)
	}
	if len(changes) == 0 {
		return
	}
	p.eachOnDisk(len(batch), func(i int) { p.begin(batch[i], name, changes[i]) })
	began := p.now()
	results := p.callDeployer(ctx, d, changes)
	var failed error
	for i, c := range changes {
		if results[i].Err != nil && c.Seen != nil {
			results[i].Err = batch[i].state.Record.Deployments[name].Lost(results[i].Err)
		}
		failed = cmp.Or(failed, results[i].Err)
	}
	if ctx.Err() == nil && p.Observer != nil {
		p.Observer.Deployed(name, p.now().Sub(began), failed)
	}
	p.eachOnDisk(len(batch), func(i int) {
		if err := p.recordDeployment(ctx, batch[i], d, results[i]); err != nil {
			errs.add(&TargetError{[]string{batch[i].Name}, "recording its deployment to " + name + ", which will be repeated", err})
		}
	})
	p.report(ctx, name, batch, results, p.now().Sub(began), errs)
}

// report logs which targets were deployed, and adds an error for each reason why
// others were not.
func (p *Pass) report(ctx context.Context, deployment string, batch []*job, results []Result, took time.Duration, errs *failures) {
	var verified []string
	var failed []*TargetError
	for n, r := range results {
		name := batch[n].Name
		if r.Err == nil {
			verified = append(verified, name)
			continue
		}
		i := slices.IndexFunc(failed, func(f *TargetError) bool { return same(f.Err, r.Err) })
		if i < 0 {
			failed = append(failed, &TargetError{[]string{name}, deploying(deployment), r.Err})
		} else {
			failed[i].Targets = append(failed[i].Targets, name)
		}
	}
	if len(verified) > 0 {
		p.Log.Info("deployed", "deployment", deployment, "certs", strings.Join(verified, " "), "took", took.Round(time.Millisecond))
	}
	if ctx.Err() != nil { // an interrupt is not a failure
		return
	}
	for _, f := range failed {
		errs.add(f)
	}
}

func deploying(name string) string {
	return backoff.Step{Kind: backoff.Deploy, Name: name}.String()
}

// same reports whether a and b are one error, as those of a [Deployer] for one reason
// are.
func same(a, b error) bool { return reflect.TypeOf(a).Comparable() && a == b }

// callDeployer returns one result for each change.
func (p *Pass) callDeployer(ctx context.Context, d Deployer, changes []Change) (results []Result) {
	var fault error
	func() {
		defer p.recovered(&fault, "deployment", d.String())
		results = d.Deploy(ctx, changes)
	}()
	if fault == nil && len(results) != len(changes) {
		fault = fmt.Errorf("internal fault: %d results for %d changes", len(results), len(changes))
	}
	if fault != nil { // how far it got is not known
		return slices.Repeat([]Result{{Outcome: Installed, Err: fault}}, len(changes))
	}
	for i := range results {
		switch r := &results[i]; {
		case r.Err == nil:
			r.Outcome = Verified
		case r.Outcome == Verified: // nor here
			r.Outcome = Installed
		}
	}
	return results
}

// change describes the way from what a deployment uses to the newest version.
func (p *Pass) change(j *job, name string) (Change, error) {
	d, spec := j.state.Record.Deployments[name], j.state.Specs[name]
	c := Change{
		Name: j.Name, Names: j.Names, Domain: j.Domain, Components: j.Components, New: j.newest.Pair, Dir: j.newest.Dir,
		Deployed: p.Mode != Redeploy && d.Deployed == j.state.Fingerprint && d.ConfigHash == spec.ConfigHash && spec.Differs == "",
	}
	for _, last := range d.Endpoints { // as when this pair was verified
		c.WasVerified = c.WasVerified || last.State == seen.Absent && d.Verified == j.state.Fingerprint && d.ConfigHash == spec.ConfigHash
	}
	if !d.LostAt.IsZero() && d.ConfigHash == spec.ConfigHash {
		c.Seen = d.Endpoints
	}
	c.NextTry = d.Attempt.Latest(p.now(), j.state.ends())
	if opens := p.nextDeployWindow(c.NextTry); !opens.IsZero() {
		c.NextTry = opens
	}
	previous := j.previousLive
	if d.Deployed != "" && d.Deployed != j.state.Fingerprint {
		v, err := p.Store.Find(j.Name, d.Deployed)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return c, err
		}
		if err == nil {
			previous = v
		}
	}
	if previous.ID != "" {
		j.rollbackTo = previous
		c.Previous = previous.Pair
		c.WasVerified = d.Verified == previous.Pair.Fingerprint() && d.ConfigHash == spec.ConfigHash // at these endpoints
		c.Restore = func() error { return p.Store.SetLive(j.Name, previous) }
	}
	return c, nil
}

// begin records that a deployment is undone, before it is repeated with other settings
// or because a file was lost. So it does not count as done after a kill or a power failure,
// nor when all files are in place again and the reload is still missing.
func (p *Pass) begin(j *job, name string, c Change) {
	d := j.state.Record.Deployments[name]
	if c.Deployed || !d.Has(j.state.Fingerprint) {
		return
	}
	d.Undo(j.state.Fingerprint)
	j.state.Record.SetDeployment(name, d)
	if err := p.Records.SaveDurably(p.Store, j.Name, j.state.Record); err != nil {
		p.Log.Warn("record not saved", "cert", j.Name, "step", deploying(name), "err", err)
	}
}

// recordDeployment keeps how far a target got, so that the next pass does only
// what is missing. An interrupt is not a failure, and nothing is known of what
// it interrupted: that is done again.
func (p *Pass) recordDeployment(ctx context.Context, j *job, deployer Deployer, r Result) error {
	j.installed = j.installed || r.Outcome != RolledBack
	if r.Err != nil && ctx.Err() != nil {
		return nil
	}
	now, name := p.now(), deployer.String()
	d := j.state.Record.Deployments[name]
	d.SetFiles(deployer.Paths(j.Name), j.state.Fingerprint)
	if r.Err == nil || d.ConfigHash != j.state.Specs[name].ConfigHash {
		d.LostAt = time.Time{}
	}
	d.Undo(j.state.Fingerprint) // what was seen before says nothing of the files and the server of now
	if r.Outcome == Verified || r.Outcome == Reloaded {
		d.Deployed, d.ConfigHash, d.Signature = j.state.Fingerprint, j.state.Specs[name].ConfigHash, ""
	}
	if r.Err == nil {
		d.Verified, d.At, d.Attempt = j.state.Fingerprint, now.UTC().Truncate(time.Second), backoff.Attempt{}
		j.activated = true
	} else {
		d.Attempt = d.Attempt.Failed(r.Err, now, j.state.ends())
	}
	if r.Endpoints != nil {
		d.Observe(r.Endpoints, !d.LostAt.IsZero(), now)
	}
	j.state.Record.SetDeployment(name, d)
	p.takeRenewalInfo(j)
	return p.save(j)
}
