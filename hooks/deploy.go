package hooks

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"keypaird/hooks/command"
	"keypaird/hooks/expect"
	"keypaird/renew"
	"keypaird/renew/seen"
)

// A run is one call of Deploy.
type run struct {
	*Deployment
	log      *slog.Logger
	targets  []*target  // that can be deployed
	failures []*Failure // of the others, and of those that failed
	touched  bool       // something is not as it was when the run began
	noSocket error      // why haproxy's socket is of no use; waited for once

	missing map[*expect.Target][]error // what the endpoints do not serve after a rollback
}

// A target is a change on its way.
type target struct {
	renew.Change
	next    state // to be in place
	before  state // in place when the run began
	back    state // to go back to; without a pair if nothing is known to work
	current state // in place now; next, until the files are written
	served  *expect.Target
	queries []*expect.Query
	seen    map[string]seen.Endpoint // nil: not probed since the reload
}

// Deploy brings all changes into use: each pair is verified by itself, the
// files are written, check and reload run once, and the endpoints must serve
// the new leaves (see [Deployment.Verify]). The error of a result is a *Failure.
//
// A change that cannot be deployed is left out, and does not hold up the others.
//
// When a later step fails, a target goes back to Previous, or else to the files
// that were there if they are a valid pair, but to none that ends before NextTry:
//
//   - Check fails: the server does not know the new files yet, so the files are
//     put back and nothing is reloaded. A reload with a configuration that
//     does not pass its check can end a server; relayd drops what it has
//     before it reads the new.
//   - Reload fails: the files are put back, checked, and loaded again, unless
//     the target was not served anywhere before, as far as the endpoints show.
//   - Verification fails: likewise, but only for the targets of which something
//     was served well before and is not now. An endpoint that was down before,
//     or serves the same, would do no better with the previous pair.
//
// A server that served the previous pairs before, and does not after it has
// loaded them again, is restarted, if the deployment says how.
//
// A target that has nothing to go back to keeps the new pair: it is whole and
// valid, while a missing file keeps a server from starting. Only if the check
// fails with the new files and passes without them are they removed again.
//
// An interrupt is not a failure. Before the reload the files are put back; from
// then on things stay as they are, and the next Deploy does it all again.
func (d *Deployment) Deploy(ctx context.Context, changes []renew.Change) []renew.Result {
	results := make([]renew.Result, len(changes))
	r := d.run(ctx, changes)
	for i, c := range changes {
		results[i].Outcome = renew.Verified
		if f := failureList(r.failures).of(c.Name); f != nil {
			results[i] = renew.Result{Outcome: f.outcome(), Err: f}
		}
		if t := slices.IndexFunc(r.targets, func(t *target) bool { return t.Name == c.Name }); t >= 0 {
			results[i].Endpoints = r.targets[t].seen
		}
	}
	return results
}

func (d *Deployment) newRun() *run {
	return &run{Deployment: d, log: cmp.Or(d.Log, slog.New(slog.DiscardHandler)).With("deployment", d.Name)}
}

// run deploys changes, and rolls back if a step fails.
func (d *Deployment) run(ctx context.Context, changes []renew.Change) *run {
	r := d.newRun()
	r.prepare(changes, time.Now())
	if len(r.targets) > 0 {
		failures := r.forward(ctx)
		if len(failures) > 0 && r.touched {
			failures = r.rollback(ctx, failures)
		}
		r.failures = append(r.failures, failures...)
	}
	return r
}

// forward does the steps in order, and returns the failures.
func (r *run) forward(ctx context.Context) []*Failure {
	r.probeBefore(ctx)
	if r.installed() { // then only a probe may be missing
		if failures := r.evaluate(); len(failures) == 0 {
			r.log.Info("verified pairs deployed before")
			return nil
		}
	}
	if err := ctx.Err(); err != nil {
		return r.all(StepInstall, err)
	}
	if r.writes() {
		if err := r.install(); err != nil {
			return r.all(StepInstall, err)
		}
		if len(r.targets) == 0 {
			return nil
		}
	}
	ev := r.event(command.EventDeploy, nil)
	if err := r.runCommand(ctx, r.Check, ev); err != nil {
		return r.all(StepCheck, err)
	}
	var failures []*Failure
	step, err := r.use(ctx, r.targets, ev, func(p patience) error {
		failures = r.verify(ctx, p)
		return joined(failures)
	})
	if step == StepReload {
		return r.all(StepReload, err)
	}
	r.explain(failures)
	return failures
}

// install writes the files. A target is left out if its files cannot be written.
func (r *run) install() error {
	fit := r.targets[:0:0]
	for i, err := range stage(nexts(r.targets)) {
		if t := r.targets[i]; err != nil {
			r.failures = append(r.failures, r.failure(StepInstall, err, t))
		} else {
			t.current = t.next
			fit = append(fit, t)
		}
	}
	r.targets = fit
	touched, err := place(nexts(fit))
	r.touched = touched || err == nil // even where a run that was killed had put them there
	return err
}

// nexts lists the new states of targets.
func nexts(targets []*target) []state {
	list := make([]state, len(targets))
	for i, t := range targets {
		list[i] = t.next
	}
	return list
}

// use makes the server load the files in place of the targets in which, up to Reloads
// times, until verify returns nil. It returns the step that failed.
func (r *run) use(ctx context.Context, which []*target, ev command.Event, verify func(patience) error) (step string, err error) {
	for n := 1; ; n++ {
		if err := r.load(ctx, which, ev); err != nil {
			return StepReload, err
		}
		p := untilDeadline
		if n < r.Reloads {
			p = aWhile
		}
		err := verify(p)
		if err == nil {
			return "", nil
		}
		if n >= r.Reloads || ctx.Err() != nil {
			return StepVerify, err
		}
		r.log.Info("reloaded again, since not everything is served", "err", err)
	}
}

// prepare finds the targets that can be deployed.
func (r *run) prepare(changes []renew.Change, now time.Time) {
	r.touched = !r.writes() // the store has been switched already
	var owner ids
	if r.writes() {
		var err error
		if owner, err = r.owner(); err != nil {
			f := &Failure{Deployment: r.Name, Step: StepInstall, Err: err}
			for _, c := range changes {
				f.Targets = append(f.Targets, c.Name)
			}
			r.failures = append(r.failures, f)
			return
		}
	}
	look := looks{remembering(namesIn), remembering(r.certificates)} // once for all targets
	taken := map[string]bool{}
	var names []string
	for _, c := range changes {
		t, err := r.target(c, owner, taken, now)
		if err != nil {
			r.failures = append(r.failures, r.failure(StepInstall, err, t))
			continue
		}
		r.targets, names = append(r.targets, t), append(names, c.Name)
		for _, w := range r.warnings(c.Name, t.wanted(), look) {
			r.log.Warn("deployment may be ineffective or insecure", "cert", c.Name, "why", w)
		}
	}
	if r.Single && len(names) > 1 {
		r.log.Warn("server presents one certificate only: set one_certificate", "targets", names)
	}
}

// target plans what to do for one change, and refuses one that could not
// succeed.
func (r *run) target(c renew.Change, owner ids, taken map[string]bool, now time.Time) (*target, error) {
	t := &target{Change: c}
	if c.New == nil {
		return t, errors.New("no pair to deploy")
	}
	if err := r.claim(c.Name, taken); err != nil {
		return t, err
	}
	var err error
	if t.next, err = r.planned(c.Name, c.New, owner); err != nil {
		return t, err
	}
	if t.before, err = r.found(t.next, c.Previous); err != nil {
		return t, err
	}
	if err := c.New.Check(t.wanted(), now); err != nil {
		return t, fmt.Errorf("target %q: %w", c.Name, err)
	}
	t.next = t.next.over(t.before, file.replacing)
	t.back = r.backOf(c, t.before, owner, now)
	t.current = t.next
	t.queries = r.queriesFor(t)
	return t, nil
}

// wanted returns the names that the new pair has to be for.
func (t *target) wanted() []string {
	if len(t.Names) > 0 {
		return t.Names
	}
	return t.New.Names()
}

// backOf decides what c would go back to.
func (r *run) backOf(c renew.Change, before state, owner ids, now time.Time) state {
	until := c.NextTry
	if until.IsZero() {
		until = now.Add(leastLeft)
	}
	other := func(s state) bool {
		return s.valid(now) && s.valid(until) && !bytes.Equal(s.pair.FullChain(), c.New.FullChain())
	}
	if c.Previous != nil && before.pair != nil && before.pair.Fingerprint() == c.Previous.Fingerprint() && other(before) {
		return before // with owner and modes as they were, which worked
	}
	if c.Previous != nil {
		s, err := r.planned(c.Name, c.Previous, owner)
		if err == nil && other(s) && (r.writes() || c.Restore != nil) {
			return s.over(before, file.accessOf)
		}
	}
	if r.writes() && other(before) {
		return before
	}
	return state{}
}

// installed reports whether all that is missing is a probe: every change was
// deployed before, its files are still there, and there is an endpoint.
func (r *run) installed() bool {
	for _, t := range r.targets {
		if !t.Deployed || !t.before.equal(t.next) {
			return false
		}
	}
	return len(r.Verify) > 0
}

// runCommand runs one of the deployment's commands, if there is one.
func (r *run) runCommand(ctx context.Context, argv []string, ev command.Event) error {
	if len(argv) == 0 {
		return ctx.Err()
	}
	c := command.Command{Argv: argv, Timeout: r.timeout(), Log: r.log}
	return c.Run(ctx, ev)
}

// load makes the server load the files in place of the targets in which.
func (r *run) load(ctx context.Context, which []*target, ev command.Event) error {
	if r.Socket == "" {
		return r.runCommand(ctx, r.Reload, ev)
	}
	if r.noSocket == nil {
		var names []string
		for _, t := range which {
			names = append(names, t.Name)
		}
		r.noSocket = r.CheckSocket(ctx, names...)
	}
	err := r.noSocket
	for i := 0; err == nil && i < len(which); i++ {
		t := which[i]
		err = r.update(ctx, expand(r.Combined, t.Name), t.current.pair.Combined())
	}
	if err == nil || ctx.Err() != nil || len(r.Reload) == 0 {
		return err
	}
	if errors.Is(err, errUnknownFile) {
		r.log.Info("haproxy does not know the file yet, reloading", "err", err)
	} else {
		r.log.Warn("haproxy socket update failed, reloading", "err", err)
	}
	return r.runCommand(ctx, r.Reload, ev)
}

// event returns the event that the environment of a run's commands describes.
func (r *run) event(kind string, cause error) command.Event {
	ev := command.Event{Kind: kind}
	if cause != nil {
		ev.Error = cause.Error()
	}
	for _, t := range r.targets {
		ev.Names = append(ev.Names, t.Name)
	}
	if len(r.targets) > 1 {
		return ev
	}
	t := r.targets[0]
	ev.Name = t.Name
	if kind == command.EventDeploy {
		ev.Dir = t.Dir // on the way back there is no version to name
	}
	if p := t.current.pair; p != nil {
		ev.Fingerprint, ev.NotAfter = p.Fingerprint(), p.Leaf.NotAfter
	}
	return ev
}
