package hooks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"keypaird/hooks/command"
	"keypaird/hooks/expect"
	"keypaird/renew/durable"
)

// rollback restores the previous pairs of the targets that failed, where that is
// better, and returns the failures with the result.
func (r *run) rollback(ctx context.Context, failures []*Failure) []*Failure {
	step := failures[0].Step
	var back, stay []*Failure
	switch {
	case step == StepInstall, step == StepCheck:
		back = r.restoreFiles(ctx, failures[0])
	case ctx.Err() != nil:
		stay = failures
	default:
		back, stay = r.split(failures, func(t *target) bool { return r.wasBetter(t, step) })
		stay = append(stay, r.restoreLoaded(ctx, back)...)
	}
	for _, f := range stay {
		f.Installed = step == StepVerify
	}
	all := slices.Concat(back, stay)
	if ctx.Err() == nil || len(back) > 0 {
		r.logRollback(step, all)
	}
	return all
}

// logRollback logs which pairs were rolled back.
func (r *run) logRollback(step string, failures []*Failure) {
	for _, f := range failures {
		log := r.log.With("step", step)
		if len(r.targets) > 1 {
			log = log.With("certs", f.Targets)
		}
		switch {
		case f.RolledBack:
			log.Warn("rolled back")
		case f.RollbackErr != nil:
			log.Warn("rollback failed", "err", f.RollbackErr)
		case f.targets[0].Seen != nil && f.targets[0].back.pair == nil: // the pair was served before
		case f.targets[0].back.pair != nil:
			log.Warn("rollback skipped", "why", "the previous pair would do no better")
		case f.Installed:
			log.Warn("rollback skipped", "why", "the new pair is installed, only not verified")
		default:
			log.Warn("rollback skipped", "why", "nothing to roll back to")
		}
	}
}

// wasBetter reports whether the previous pair of a target did better than the new
// one: an endpoint served it before and serves nothing good now or, if the reload
// failed, may soon stop. Without endpoints to verify, the previous pair counts as
// better.
func (r *run) wasBetter(t *target, step string) bool {
	if t.back.pair == nil {
		return false
	}
	now := time.Now()
	return len(r.Verify) == 0 || slices.ContainsFunc(t.queries, func(q *expect.Query) bool {
		if step == StepReload {
			return q.Before.Fits(q.ServerName, now)
		}
		return q.Evaluate(now) == expect.Worse
	})
}

// restore installs states and reports whether they are in place. If so, an error
// means that a power failure may undo them.
func (r *run) restore(targets []*target, states func(*target) state) (done bool, err error) {
	var files []state
	var failed, undurable error
	note := func(err error) {
		written, ok := errors.AsType[*durable.WriteError](err)
		switch {
		case ok && written.Done:
			undurable = cmp.Or(undurable, err)
		case err != nil:
			failed = cmp.Or(failed, err)
		}
	}
	for _, t := range targets {
		if r.writes() {
			files = append(files, states(t))
		} else {
			note(t.Restore())
		}
	}
	if len(files) > 0 {
		_, err := put(files)
		note(err)
	}
	if failed == nil {
		for _, t := range targets {
			t.current = states(t)
		}
	}
	return failed == nil, cmp.Or(failed, undurable)
}

// restoreFiles rolls back before a reload: only the files.
func (r *run) restoreFiles(ctx context.Context, f *Failure) []*Failure {
	way := map[*target]state{}
	var first []*target // without files before
	for _, t := range f.targets {
		switch {
		case t.back.pair != nil:
			way[t] = t.back
		case r.writes() && t.before.absent():
			way[t] = t.before
			first = append(first, t)
		}
	}
	back, stay := r.split([]*Failure{f}, func(t *target) bool { _, ok := way[t]; return ok })
	if len(back) == 0 {
		return stay
	}
	b := back[0]
	b.RolledBack, b.RollbackErr = r.restore(b.targets, func(t *target) state { return way[t] })
	if b.RollbackErr != nil || len(first) == 0 || f.Step != StepCheck || ctx.Err() != nil {
		return append(back, stay...)
	}
	// If the check fails without the new files too, they are not the reason:
	// install them again.
	if r.runCommand(ctx, r.Check, r.event(command.EventRollback, f.Err)) == nil || ctx.Err() != nil {
		return append(back, stay...)
	}
	again, back := r.split(back, func(t *target) bool { return slices.Contains(first, t) })
	_, again[0].RollbackErr = r.restore(first, func(t *target) state { return t.next })
	for _, b := range back {
		b.RolledBack = true
	}
	return slices.Concat(back, again, stay)
}

// restoreLoaded rolls back after a reload: the files, and the server that may have
// loaded the new ones. RolledBack is set once the files are restored. It returns the
// failures of targets that keep their new pair and are not served any more.
func (r *run) restoreLoaded(ctx context.Context, failures []*Failure) (lost []*Failure) {
	if len(failures) == 0 {
		return nil
	}
	var which []*target
	for _, f := range failures {
		which = append(which, f.targets...)
	}
	done, err := r.restore(which, func(t *target) state { return t.back })
	restarted := false
	if done {
		var failed error
		if restarted, failed = r.reloadPrevious(ctx, which, r.event(command.EventRollback, joined(failures))); failed != nil {
			err = failed
		}
	}
	for _, f := range failures {
		f.RolledBack, f.RollbackErr, f.Restarted = done, r.ofTargets(err, f.targets), restarted
	}
	for _, t := range r.targets { // that keep their new pair
		if e := expect.Unserved(r.missing[t.served]); e != nil && !slices.Contains(which, t) {
			lost = append(lost, r.failure(StepVerify, e, t))
		}
	}
	return lost
}

// ofTargets returns what an error of a rollback says of some targets.
func (r *run) ofTargets(err error, targets []*target) error {
	var own []error
	for _, t := range targets {
		own = append(own, r.missing[t.served]...)
	}
	all := slices.Concat(slices.Collect(maps.Values(r.missing))...)
	switch {
	case len(own) == len(all): // of nobody else, or another step
		return err
	case len(own) == 0:
		return nil
	}
	return fmt.Errorf("verifying it failed too: %w", expect.Unserved(own))
}

// reloadPrevious makes the server use the previous pairs of the targets which.
func (r *run) reloadPrevious(ctx context.Context, which []*target, ev command.Event) (restarted bool, err error) {
	if err := r.runCommand(ctx, r.Check, ev); err != nil {
		return false, fmt.Errorf("reloading it failed too: %w", err)
	}
	demanded := r.rollbackQueries(which)
	step, err := r.use(ctx, which, ev, func(p patience) error { return r.verifyRollback(ctx, demanded, p) })
	switch {
	case err == nil:
		return false, nil
	case step == StepReload && len(demanded) > 0 && r.verifyRollback(ctx, demanded, once) == nil:
		return false, nil // the reload fails, but the server still serves them
	case step == StepReload:
		r.missing, err = nil, fmt.Errorf("reloading it failed too: %w", err)
	default:
		err = fmt.Errorf("verifying it failed too: %w", err)
	}
	if len(r.Restart) == 0 || len(demanded) == 0 || ctx.Err() != nil {
		return false, err
	}
	r.log.Warn("previous pair not served, restarting the server", "err", err)
	if failed := r.runCommand(ctx, r.Restart, ev); failed != nil {
		return false, fmt.Errorf("%w; restarting failed too: %w", err, failed)
	}
	if failed := r.verifyRollback(ctx, demanded, untilDeadline); failed != nil {
		return false, fmt.Errorf("%w; restarting did not help: %w", err, failed)
	}
	return true, nil
}

// rollbackQueries lists the queries that must succeed after a rollback: those that
// succeeded before the deployment and, for targets that keep their new pair, with
// that pair.
func (r *run) rollbackQueries(which []*target) []*expect.Query {
	now := time.Now()
	return r.queries(func(t *target, q *expect.Query) bool {
		q.Want = t.current.pair
		if slices.Contains(which, t) {
			return q.Before.Fits(q.ServerName, now)
		}
		return q.Now.Is(q.New)
	})
}

// verifyRollback probes until the endpoints serve what they did before, or the pair
// in place now.
func (r *run) verifyRollback(ctx context.Context, demanded []*expect.Query, p patience) error {
	r.missing = map[*expect.Target][]error{}
	left := expect.Poll(ctx, demanded, r.polling(p), func() bool { return false })
	left = slices.DeleteFunc(left, func(q *expect.Query) bool { return q.Now.Is(q.Want) }) // not often enough in the time
	if err := ctx.Err(); err != nil || len(left) == 0 {
		return err
	}
	var missing []error
	for _, q := range left {
		missing = append(missing, q.Failure())
		r.missing[q.Target] = append(r.missing[q.Target], q.Failure())
	}
	return expect.Unserved(missing)
}
