package renew

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"keypaird/renew/keypair"
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
	rollouts := make([]*rollout, len(jobs))
	p.eachOnDisk(len(jobs), func(i int) {
		j := jobs[i]
		now := p.now()
		j.state.NextDeployWindow = p.nextDeployWindow(now)
		// What may not be deployed yet does not become live: live is what is in use.
		d, ok := decideMeanwhile(now, j.Target, j.state, p.Mode)
		if !ok || p.draining(ctx) {
			return
		}
		if j.ca == "" && !j.imported { // what was needed could not be had, or was there
			j.decision = d
		}
		var err error
		if rollouts[i], err = p.activate(j); err != nil {
			errs.add(&TargetError{[]string{j.Name}, "switching to its new version", err})
			p.recordActivationFailure(j, err)
		}
	})
	ready := slices.DeleteFunc(rollouts, func(a *rollout) bool { return a == nil })
	for _, name := range deployments(ready) {
		if p.draining(ctx) {
			break
		}
		p.deploy(ctx, name, ready, errs)
	}
	p.eachOnDisk(len(ready), func(i int) {
		a := ready[i]
		if err := p.restoreLive(ctx, a); err != nil {
			errs.add(&TargetError{[]string{a.Name}, "switching back to its version before", err})
		}
		if err := p.Store.Prune(a.Name, a.inUse()...); err != nil {
			p.Log.Warn("old versions not removed", "cert", a.Name, "err", err)
		}
	})
}

// draining reports whether nothing more is to be begun. A deployment that was
// begun is brought to its end, unless the whole process ends.
func (p *Pass) draining(ctx context.Context) bool {
	select {
	case <-p.Yield:
		return true
	default:
		return ctx.Err() != nil
	}
}

// A rollout is a target whose newest version is to be deployed.
type rollout struct {
	*job
	newest       keypair.Version
	previousLive keypair.Version // live when the pass began; ID "" if there was none or it is newest
	rollbackTo   keypair.Version // what deployments that failed went back to; ID "" if none did
	installed    bool            // newest may be in use somewhere
}

// activate makes the newest version live, and tidies up after a killed run.
func (p *Pass) activate(j *job) (*rollout, error) {
	a := &rollout{job: j}
	err := p.Store.Tidy(j.Name)
	if err != nil {
		return nil, err
	}
	if a.newest, err = p.Store.Newest(j.Name); err != nil {
		return nil, err
	}
	if a.newest.ID != j.state.Version {
		if len(a.newest.Skipped) > 0 {
			return nil, a.newest.Skipped[0]
		}
		return nil, fmt.Errorf("version %s appeared meanwhile", a.newest.ID)
	}
	if j.ca == "" { // else it is done
		p.forgetOrder(j, a.newest.Pair.Leaf)
	}
	live, err := p.Store.Live(j.Name)
	if err == nil && live.ID == a.newest.ID {
		return a, nil
	}
	if err == nil {
		a.previousLive = live
	}
	// A live link that is missing or broken is as good as none.
	if err := p.Store.SetLive(j.Name, a.newest); err != nil {
		return nil, err
	}
	a.activated = len(deployments([]*rollout{a})) == 0 // nothing but the switch was missing
	return a, nil
}

// recordActivationFailure keeps that the newest version could not be made live: each
// deployment that waits for it has failed once more.
func (p *Pass) recordActivationFailure(j *job, err error) {
	now := p.now()
	for _, name := range deployments([]*rollout{{job: j}}) {
		d := j.state.Record.Deployments[name]
		if p.Mode == Scheduled && d.Attempt.Waits(now) {
			continue
		}
		d.Attempt = d.Attempt.Failed(fmt.Errorf("switching to the new version: %w", err), now, j.state.ends())
		j.state.Record.deployment(name, d)
	}
	if err := p.save(j); err != nil {
		p.Log.Warn("failure not recorded", "cert", j.Name, "err", err)
	}
}

// restoreLive makes the version before live again where every deployment went back
// to it: live is what is in use.
func (p *Pass) restoreLive(ctx context.Context, a *rollout) error {
	if a.rollbackTo.ID == "" || a.installed || ctx.Err() != nil || slices.Contains(a.inUse(), a.state.Fingerprint) {
		return nil
	}
	if a.previousLive.ID != "" { // what was live is what most have gone back to
		return p.Store.SetLive(a.Name, a.previousLive)
	}
	return p.Store.SetLive(a.Name, a.rollbackTo)
}

// inUse lists the fingerprints that some deployment still uses.
func (a *rollout) inUse() []string {
	var list []string
	for _, d := range a.state.Record.Deployments {
		list = append(list, d.Deployed)
	}
	return list
}

// deployments lists the names of all deployments that have something to do, in
// the order of the configuration.
func deployments(ready []*rollout) []string {
	var names []string
	for _, a := range ready {
		for _, name := range a.Deploy {
			if !a.state.Record.Deployments[name].Done(a.state.Fingerprint, a.Specs[name]) && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// deploy runs one deployment for all the targets that wait for it.
func (p *Pass) deploy(ctx context.Context, name string, ready []*rollout, errs *failures) {
	var batch []*rollout
	var changes []Change
	var targets []string
	for _, a := range ready {
		d := a.state.Record.Deployments[name]
		if !slices.Contains(a.Deploy, name) || d.Done(a.state.Fingerprint, a.Specs[name]) {
			continue
		}
		if p.Mode == Scheduled && d.Attempt.Waits(p.now()) {
			continue
		}
		c, err := p.change(a, name, d)
		if err != nil {
			errs.add(&TargetError{[]string{a.Name}, "deploying to " + name, err})
			continue
		}
		p.step(a.Name, "deploying to "+name)
		batch, changes, targets = append(batch, a), append(changes, c), append(targets, a.Name)
	}
	if len(changes) == 0 {
		return
	}
	p.eachOnDisk(len(batch), func(i int) { p.begin(batch[i], name, changes[i]) })
	began := p.now()
	outcomes, err := p.callDeployer(ctx, name, changes)
	if ctx.Err() == nil && p.Observer != nil {
		p.Observer.Deployed(name, p.now().Sub(began), err)
	}
	reasons := reasonsOf(targets, outcomes, err)
	p.eachOnDisk(len(batch), func(i int) {
		if rerr := p.recordDeployment(ctx, batch[i], name, outcomes[i], reasons[targets[i]]); rerr != nil {
			errs.add(&TargetError{[]string{batch[i].Name}, "recording its deployment to " + name + ", which will be repeated", rerr})
		}
	})
	verified := slices.DeleteFunc(slices.Clone(targets), func(t string) bool { return reasons[t] != nil })
	if len(verified) > 0 {
		p.Log.Info("deployed", "deployment", name, "certs", strings.Join(verified, " "), "took", p.now().Sub(began).Round(time.Millisecond))
	}
	if ctx.Err() == nil {
		for _, f := range failuresOf(targets, outcomes, err) {
			errs.add(&TargetError{f.Targets, "deploying to " + name, f.Err})
		}
	}
}

// failuresOf says what failed for which targets: each that is not Verified, in
// one failure.
func failuresOf(targets []string, outcomes []Outcome, err error) []DeployFailure {
	var list []DeployFailure
	var others []string // of which the error says nothing special
	left := map[string]bool{}
	for i, t := range targets {
		left[t] = outcomes[i] != Verified
	}
	if several, ok := errors.AsType[*DeployError](err); ok {
		for _, f := range several.Failures {
			f.Targets = slices.DeleteFunc(slices.Clone(f.Targets), func(t string) bool { return !left[t] })
			for _, t := range f.Targets {
				left[t] = false
			}
			if len(f.Targets) > 0 {
				list = append(list, f)
			}
		}
	}
	for _, t := range targets {
		if left[t] {
			others = append(others, t)
		}
	}
	if len(others) > 0 {
		list = append(list, DeployFailure{others, err})
	}
	return list
}

// reasonsOf are those of the failures, by target.
func reasonsOf(targets []string, outcomes []Outcome, err error) map[string]error {
	reasons := map[string]error{}
	for _, f := range failuresOf(targets, outcomes, err) {
		for _, t := range f.Targets {
			reasons[t] = f.Err
		}
	}
	return reasons
}

// callDeployer returns an outcome for each change: if there is no error they are
// all Verified, and with one at least one is not.
func (p *Pass) callDeployer(ctx context.Context, name string, changes []Change) (outcomes []Outcome, err error) {
	unknown := slices.Repeat([]Outcome{Installed}, len(changes))
	outcomes, err = func() (outcomes []Outcome, err error) {
		defer p.recovered(&err, "deployment", name)
		return p.Deployer.Deploy(ctx, name, changes)
	}()
	unverified := slices.ContainsFunc(outcomes, func(o Outcome) bool { return o != Verified })
	switch {
	case err == nil:
		outcomes = slices.Repeat([]Outcome{Verified}, len(changes))
	case len(outcomes) != len(changes) || !unverified:
		outcomes = unknown
	}
	return outcomes, err
}

// change describes the way from what a deployment uses to the newest version.
func (p *Pass) change(a *rollout, name string, d Deployment) (Change, error) {
	c := Change{
		Name: a.Name, Names: a.wanted(), New: a.newest.Pair, Dir: a.newest.Dir,
		Deployed: d.Deployed == a.state.Fingerprint && d.ConfigHash == a.Specs[name].ConfigHash && !a.Specs[name].FilesMissing,
	}
	c.NextTry = d.Attempt.latest(p.now(), a.state.ends())
	if opens := p.nextDeployWindow(c.NextTry); !opens.IsZero() {
		c.NextTry = opens
	}
	previous := a.previousLive
	if d.Deployed != "" && d.Deployed != a.state.Fingerprint {
		v, err := p.Store.Find(a.Name, d.Deployed)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return c, err
		}
		if err == nil {
			previous = v
		}
	}
	if previous.ID != "" {
		a.rollbackTo = previous
		c.Previous = previous.Pair
		c.WasVerified = d.Verified == previous.Pair.Fingerprint()
		c.Restore = func() error { return p.Store.SetLive(a.Name, previous) }
	}
	return c, nil
}

// begin records that what a deployment had is undone, before it is done in
// another way, or again since a file was lost. It is never
// taken for done: neither after a kill, nor when all files are there again and
// the reload is still missing.
func (p *Pass) begin(a *rollout, name string, c Change) {
	d := a.state.Record.Deployments[name]
	if c.Deployed || !d.has(a.state.Fingerprint) {
		return
	}
	d.undo(a.state.Fingerprint)
	a.state.Record.deployment(name, d)
	if err := p.saveDurably(a.job); err != nil {
		p.Log.Warn("record not saved", "cert", a.Name, "step", "deploying to "+name, "err", err)
	}
}

// has reports whether a certificate was deployed.
func (d Deployment) has(fingerprint string) bool {
	return d.Deployed == fingerprint || d.Verified == fingerprint
}

// undo forgets that a certificate was deployed.
func (d *Deployment) undo(fingerprint string) {
	if d.Deployed == fingerprint {
		d.Deployed = ""
	}
	if d.Verified == fingerprint {
		d.Verified = ""
	}
}

// recordDeployment keeps how far a target got, so that the next pass does only
// what is missing. An interrupt is not a failure, and nothing is known of what
// it interrupted: that is done again.
func (p *Pass) recordDeployment(ctx context.Context, a *rollout, name string, outcome Outcome, err error) error {
	a.installed = a.installed || outcome != RolledBack
	if err != nil && ctx.Err() != nil {
		return nil
	}
	now := p.now()
	d := a.state.Record.Deployments[name]
	d.undo(a.state.Fingerprint) // what was seen before says nothing of the files and the server of now
	if outcome == Verified || outcome == Reloaded {
		d.Deployed, d.ConfigHash = a.state.Fingerprint, a.Specs[name].ConfigHash
	}
	if outcome == Verified {
		d.Verified, d.At, d.Attempt = a.state.Fingerprint, now.UTC().Truncate(time.Second), Attempt{}
		a.activated = true
	} else {
		d.Attempt = d.Attempt.Failed(err, now, a.state.ends())
	}
	a.state.Record.deployment(name, d)
	return p.save(a.job)
}

// wanted is what the newest version has to be for. An external certificate says that
// itself.
func (a *rollout) wanted() []string {
	if a.External != nil {
		return a.newest.Pair.Names()
	}
	return a.Names
}
