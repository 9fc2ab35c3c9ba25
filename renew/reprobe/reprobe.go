// Package reprobe makes passes, and probes the endpoints of deployed pairs when no other
// work is due: daily, and in each manual pass.
//
// What an endpoint does not serve any more is deployed again, which reloads the server
// once. If that does not help, the deployment fails.
package reprobe

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"keypaird/renew"
	"keypaird/renew/backoff"
	"keypaird/renew/keypair"
)

// Limits of the probes after one pass.
const (
	maxProbes = 256              // of one target at one deployment; the others follow in the next pass
	maxTime   = 45 * time.Second // what is not known by then is probed in the next pass
	atOnce    = 16               // deployments
)

// A run is one pass and what follows.
type run struct {
	*renew.Pass
	report renew.Report
	lost   []lost
}

// A lost is a deployment that is not served any more.
type lost struct {
	target, deployment string
	err                error
}

// Run makes a pass, probes the endpoints that are due, and makes another pass over the
// targets that are not served any more. The caller holds the state lock.
func Run(ctx context.Context, p *renew.Pass, targets []renew.Target) renew.Report {
	r := &run{Pass: p}
	if r.report = p.Run(ctx, targets); r.report.Interrupted {
		return r.report
	}
	r.probeDue(ctx)
	if again := r.targetsAgain(); len(again) > 0 {
		r.addReport(p.Run(ctx, again))
	}
	if !r.report.Interrupted {
		r.markFailing()
	}
	r.scheduleProbes()
	return r.report
}

// targetsAgain lists the targets that are not served any more. One of which something failed in
// this pass is not tried again in it.
func (r *run) targetsAgain() []renew.Target {
	var list []renew.Target
	if len(r.lost) == 0 {
		return nil
	}
	for _, t := range r.report.Targets {
		failed := slices.ContainsFunc(r.report.Errs, func(err error) bool {
			of, ok := errors.AsType[*renew.TargetError](err)
			return ok && slices.Contains(of.Targets, t.Name)
		})
		if !failed && slices.ContainsFunc(r.lost, func(l lost) bool { return l.target == t.Name }) {
			list = append(list, t.Target)
		}
	}
	return list
}

// markFailing records a failure of what is lost and could not be deployed again yet, so
// that the operator is notified meanwhile.
func (r *run) markFailing() {
	for i := range r.report.Targets {
		t := &r.report.Targets[i]
		for _, l := range r.lost {
			rec := t.State.Record.Deployments[l.deployment]
			if l.target != t.Name || rec.LostAt.IsZero() || rec.Attempt.Failures > 0 || t.State.InUse == nil {
				continue
			}
			rec.Attempt = rec.Attempt.Failed(rec.Lost(l.err), r.now(), t.State.InUse.NotAfter)
			setDeployment(t, l.deployment, rec)
			r.saveRecord(t)
		}
	}
}

// scheduleProbes adds the next probes to the times when targets need the next pass.
func (r *run) scheduleProbes() {
	soon := r.now().Add(time.Minute)
	for _, d := range r.allDeployed() {
		next := d.next()
		if next.Before(soon) {
			next = soon
		}
		if at, ok := r.report.Next[d.Name]; !ok || next.Before(at) {
			r.report.Next[d.Name] = next
		}
	}
}

func (r *run) now() time.Time {
	if r.Clock != nil {
		return r.Clock()
	}
	return time.Now().Round(0)
}

// addReport adds the report of the second pass.
func (r *run) addReport(second renew.Report) {
	r.report.Done, r.report.Errs = append(r.report.Done, second.Done...), append(r.report.Errs, second.Errs...)
	r.report.Interrupted = second.Interrupted
	maps.Copy(r.report.Next, second.Next)
	for _, t := range second.Targets {
		i := slices.IndexFunc(r.report.Targets, func(first renew.TargetState) bool { return first.Name == t.Name })
		r.report.Targets[i] = t
	}
}

// A deployed is a target and one deployment, where endpoints must serve its certificate.
type deployed struct {
	*renew.TargetState
	at renew.Deployer
}

func (d deployed) record() renew.Deployment { return d.State.Record.Deployments[d.at.String()] }

// next returns when the endpoints are probed next.
func (d deployed) next() time.Time { return d.record().Next(d.slot()) }

// slot returns the name on which the time of the daily probe depends.
func (d deployed) slot() string { return d.Name + " " + d.at.String() }

// mustServe reports whether the endpoints served the newest certificate when it was
// verified. If it is lost and could not be loaded again, a server that was stopped may
// still be started by others.
func (d deployed) mustServe() bool {
	s, rec := d.State, d.record()
	spec, lost := s.Specs[d.at.String()], !rec.LostAt.IsZero()
	return d.Err == nil && s.Leaf != nil && (rec.Verified == s.Fingerprint || lost) && len(d.at.Endpoints()) > 0 &&
		(rec.Deployed == s.Fingerprint || lost && rec.Deployed == "") && rec.ConfigHash == spec.ConfigHash && spec.Differs == ""
}

// allDeployed lists what endpoints must serve.
func (r *run) allDeployed() []deployed {
	var list []deployed
	for i := range r.report.Targets {
		t := &r.report.Targets[i]
		for _, at := range t.Deploy {
			if d := (deployed{t, at}); d.mustServe() {
				list = append(list, d)
			}
		}
	}
	return list
}

// dueProbes lists the due probes, the longest overdue first. A manual pass probes all but
// the targets for which it did something.
func (r *run) dueProbes() []deployed {
	now := r.now()
	list := slices.DeleteFunc(r.allDeployed(), func(d deployed) bool {
		if r.Mode == renew.Scheduled {
			rec := d.record()
			return !rec.Due(d.slot(), now)
		}
		return slices.ContainsFunc(r.report.Done, func(done renew.Done) bool { return done.Target == d.Name })
	})
	if r.Mode == renew.Scheduled && len(list) > maxProbes {
		slices.SortStableFunc(list, func(a, b deployed) int { return a.record().ProbedAt.Compare(b.record().ProbedAt) })
		list = list[:maxProbes]
	}
	return list
}

// probeDue makes the due probes, and records their results.
func (r *run) probeDue(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, maxTime)
	defer cancel()
	var yield sync.WaitGroup
	yield.Go(func() {
		select {
		case <-r.Yield: // never, if it is nil
			cancel()
		case <-limited.Done():
		}
	})
	batches := map[renew.Deployer][]deployed{}
	var at []renew.Deployer
	for _, d := range r.dueProbes() {
		if batches[d.at] == nil {
			at = append(at, d.at)
		}
		batches[d.at] = append(batches[d.at], d)
	}
	results := make([][]renew.Result, len(at))
	slots := make(chan struct{}, atOnce)
	var probes sync.WaitGroup
	for i, d := range at {
		slots <- struct{}{}
		probes.Go(func() {
			defer func() { <-slots }()
			results[i] = probeBatch(limited, r.Log, d, batches[d])
		})
	}
	probes.Wait()
	cancel()
	yield.Wait()
	for i, d := range at {
		for n, result := range results[i] {
			if result.Endpoints != nil {
				r.observe(batches[d][n], result)
			}
		}
	}
}

// probeBatch returns one result for each of a batch; nil: nothing is known.
func probeBatch(ctx context.Context, log *slog.Logger, at renew.Deployer, batch []deployed) (results []renew.Result) {
	defer func() {
		if v := recover(); v != nil {
			log.Error("panicked", "deployment", at.String(), "value", v, "stack", string(debug.Stack()))
			results = nil
		}
	}()
	var changes []renew.Change
	for _, d := range batch {
		changes = append(changes, renew.Change{
			Name: d.Name, Names: d.Names, Domain: d.Domain, Components: d.Components,
			New: &keypair.Pair{Leaf: d.State.Leaf}, Seen: d.record().Endpoints,
		})
	}
	return at.Probe(ctx, changes)
}

// observe records what the endpoints served.
func (r *run) observe(d deployed, result renew.Result) {
	rec, now := d.record(), r.now()
	since := rec.LostAt
	rec.Observe(result.Endpoints, result.Err != nil, now)
	log := r.Log.With("cert", d.Name, "deployment", d.at.String())
	switch {
	case result.Err != nil && since.IsZero():
		log.Warn("not served any more", "err", result.Err, "remedy", renew.Remedy(result.Err))
		rec.Verified = ""
		r.lost = append(r.lost, lost{d.Name, d.at.String(), result.Err})
	case result.Err == nil && !since.IsZero():
		log.Info("served again", "lost", since)
		rec.Deployed, rec.Verified = d.State.Fingerprint, d.State.Fingerprint
		rec.At, rec.Attempt = rec.ProbedAt, backoff.Attempt{}
	}
	setDeployment(d.TargetState, d.at.String(), rec)
	r.saveRecord(d.TargetState)
}

func setDeployment(t *renew.TargetState, deployment string, rec renew.Deployment) {
	t.State.Record.Deployments = maps.Clone(t.State.Record.Deployments)
	t.State.Record.Deployments[deployment] = rec
}

func (r *run) saveRecord(t *renew.TargetState) {
	if err := r.Records.Save(r.Store, t.Name, t.State.Record); err != nil {
		r.Log.Warn("record not saved", "cert", t.Name, "step", "probing endpoints", "err", err)
	}
}
