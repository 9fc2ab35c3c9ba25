package hooks

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"time"
)

// A run is one call of Deploy.
type run struct {
	*Deployment
	log     *slog.Logger
	changes []Change
	// By change:
	next   []state // to be in place
	before []state // in place when we came
	back   []state // to go back to; without a pair if nothing is known to work

	touched bool // something is not as it was when we came
	up      bool // the server was seen to serve all that there is to go back to
}

// Deploy brings all changes into use: each pair is verified by itself, the
// files are written, check and reload run once, and every endpoint must serve
// the new leaf for every name. It returns nil or an *Error.
//
// When a step fails, each target goes back to Previous if that is still valid,
// or else to the files that were there if they are a valid pair:
//
//   - Check fails: the server has not been told of anything, so the files are
//     put back and nothing is reloaded. A reload with a configuration that
//     does not pass its check can end a server; relayd drops what it has
//     before it reads the new.
//   - Reload fails: the files are put back, checked, and loaded again.
//   - Verification fails: likewise, but only for the targets that are not
//     served. One that is misconfigured must not keep back the others.
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
func (d *Deployment) Deploy(ctx context.Context, changes []Change) error {
	if len(changes) == 0 {
		return nil
	}
	r := &run{Deployment: d, changes: changes, log: logger(d.Log).With("deployment", d.Name)}
	step, failing, err := r.forward(ctx)
	if err == nil {
		return nil
	}
	e := &Error{Deployment: d.Name, Step: step, Err: err}
	for _, i := range failing {
		e.Failed = append(e.Failed, changes[i].Name)
	}
	r.retreat(ctx, e, failing)
	return e
}

// forward does the steps in order. On failure it returns the step and the
// changes that are to be taken back.
func (r *run) forward(ctx context.Context) (step string, failing []int, err error) {
	all := make([]int, len(r.changes))
	for i := range all {
		all[i] = i
	}
	if err := r.prepare(time.Now()); err != nil {
		return StepInstall, all, err
	}
	if len(r.Verify) > 0 && r.installed() { // else nobody knows what is served
		if _, err := r.verify(ctx, r.next, once); err == nil {
			r.log.Info("verified what was deployed before")
			return "", nil, nil
		}
	}
	if err := ctx.Err(); err != nil {
		return StepInstall, all, err
	}
	if r.writes() {
		touched, err := put(r.next)
		r.touched = touched || err == nil // even where a run that was killed had put them there
		if err != nil {
			return StepInstall, all, err
		}
	}
	ev := r.event(EventDeploy, r.next, nil)
	if err := r.run(ctx, r.Check, ev); err != nil {
		return StepCheck, all, err
	}
	r.up = len(r.Restart) > 0 && r.serves(ctx, r.back)
	return r.use(ctx, all, r.next, ev)
}

// use makes the server use the states of the changes which, and looks whether
// all are served. It returns as forward does.
func (r *run) use(ctx context.Context, which []int, states []state, ev Event) (step string, failing []int, err error) {
	for n := 1; ; n++ {
		if err := r.load(ctx, which, states, ev); err != nil {
			return StepReload, which, err
		}
		p := untilDeadline
		if n < r.Reloads {
			p = aWhile
		}
		if failing, err = r.verify(ctx, states, p); err == nil {
			return "", nil, nil
		}
		if n >= r.Reloads || ctx.Err() != nil {
			return StepVerify, failing, r.explained(err, failing)
		}
		r.log.Info("reloaded again, since not everything is served", "err", err)
	}
}

// prepare makes the plan, and refuses one that could not succeed.
func (r *run) prepare(now time.Time) error {
	var targets []string
	for _, c := range r.changes {
		if c.New == nil {
			return fmt.Errorf("target %q: no pair to deploy", c.Name)
		}
		targets = append(targets, c.Name)
	}
	r.touched = !r.writes() // the store has been switched already
	var owner ids
	err := r.sound(targets...)
	if err == nil && r.writes() {
		owner, err = r.owner()
	}
	if err != nil {
		return err
	}
	for _, c := range r.changes {
		next := r.planned(c.Name, c.New, owner)
		before, err := r.found(next)
		if err != nil {
			return err
		}
		r.next, r.before = append(r.next, next.replacing(before)), append(r.before, before)
		r.back = append(r.back, r.backOf(c, before, owner, now))
	}
	look := looks{remembering(namesIn), remembering(r.certificates)} // once for all targets
	if r.Single && len(r.changes) > 1 {
		r.log.Warn("server presents one certificate only: set one_certificate", "targets", targets)
	}
	for _, c := range r.changes {
		want := c.Names
		if len(want) == 0 {
			want = c.New.Names()
		}
		if err := c.New.Check(want, now); err != nil {
			return fmt.Errorf("target %q: %w", c.Name, err)
		}
		for _, w := range r.warnings(c.Name, want, look) {
			r.log.Warn(w)
		}
	}
	return nil
}

// backOf decides what c would go back to.
func (r *run) backOf(c Change, before state, owner ids, now time.Time) state {
	other := func(s state) bool { return s.valid(now) && !bytes.Equal(s.pair.FullChain(), c.New.FullChain()) }
	if c.Previous != nil && before.pair != nil && before.pair.Fingerprint() == c.Previous.Fingerprint() && other(before) {
		return before // with owner and modes as they were, which worked
	}
	if c.Previous != nil {
		if s := r.planned(c.Name, c.Previous, owner).replacing(before); other(s) && (r.writes() || c.Restore != nil) {
			return s
		}
	}
	if r.writes() && other(before) {
		return before
	}
	return state{}
}

// installed tells whether all that is missing is a look: every change was
// deployed before, and its files are still there.
func (r *run) installed() bool {
	for i, c := range r.changes {
		if !c.Deployed || !r.before[i].equal(r.next[i]) {
			return false
		}
	}
	return true
}

// run runs one of the deployment's commands, if there is one.
func (r *run) run(ctx context.Context, argv []string, ev Event) error {
	if len(argv) == 0 {
		return ctx.Err()
	}
	c := Command{Argv: argv, Timeout: r.timeout(), Log: r.log}
	return c.Run(ctx, ev)
}

// load makes the server use the states of the changes which.
func (r *run) load(ctx context.Context, which []int, states []state, ev Event) error {
	if r.Socket == "" {
		return r.run(ctx, r.Reload, ev)
	}
	var err error
	for _, i := range which {
		if err = r.update(ctx, expand(r.Combined, r.changes[i].Name), states[i].pair.Combined()); err != nil {
			break
		}
	}
	if err == nil || ctx.Err() != nil || len(r.Reload) == 0 {
		return err
	}
	r.log.Warn("haproxy is reloaded, since its socket did not do", "err", err)
	return r.run(ctx, r.Reload, ev)
}

// event is what the commands of a run are told.
func (r *run) event(kind string, states []state, cause error) Event {
	ev := Event{Kind: kind}
	if cause != nil {
		ev.Error = cause.Error()
	}
	for _, c := range r.changes {
		ev.Names = append(ev.Names, c.Name)
	}
	if len(r.changes) > 1 {
		return ev
	}
	ev.Name = r.changes[0].Name
	if kind == EventDeploy {
		ev.Dir = r.changes[0].Dir // on the way back there is no version to name
	}
	if p := states[0].pair; p != nil {
		ev.Fingerprint, ev.NotAfter = p.Fingerprint(), p.Leaf.NotAfter
	}
	return ev
}
