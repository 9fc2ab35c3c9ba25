package hooks

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"keypaird/renew/durable"
)

// retreat takes the changes failing back as far as that is wise, and tells e
// how things stand.
func (r *run) retreat(ctx context.Context, e *Error, failing []int) {
	interrupted := ctx.Err() != nil
	switch {
	case !r.touched:
		return
	case e.Step == StepInstall, e.Step == StepCheck:
		e.RolledBack, e.RollbackErr = r.putBack(ctx, e, failing)
	case interrupted:
		e.Installed = e.Step == StepVerify
		return
	default:
		e.RolledBack, e.RollbackErr = r.rollBack(ctx, e, failing)
		e.Installed = e.Step == StepVerify && !e.RolledBack && e.RollbackErr == nil
	}
	log := r.log.With("step", e.Step)
	switch {
	case e.RolledBack:
		log.Warn("previous pair put back")
	case e.RollbackErr != nil:
		log.Warn("going back failed", "err", e.RollbackErr)
	case e.Installed:
		log.Warn("new pair stays", "why", "it is in use, only not verified")
	default:
		log.Warn("new pair stays", "why", "nothing to go back to")
	}
}

// restore brings the states of the changes which about, of those that have
// one, and tells whether there were any and they are in place. They may be, and
// the error be that a power failure may undo it.
func (r *run) restore(which []int, states []state) (back bool, err error) {
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
	for _, i := range which {
		switch s := states[i]; {
		case r.writes() && len(s.files) > 0:
			files = append(files, s)
		case !r.writes() && s.pair != nil:
			back = true
			note(r.changes[i].Restore())
		}
	}
	if len(files) > 0 {
		back = true
		_, err := put(files)
		note(err)
	}
	return back && failed == nil, cmp.Or(failed, undurable)
}

// putBack is the way back while the server knows nothing yet: files only.
func (r *run) putBack(ctx context.Context, e *Error, failing []int) (bool, error) {
	if len(r.back) < len(r.changes) {
		return false, nil
	}
	back := make([]state, len(r.changes))
	var lone []int // nothing to go back to, but how it was can be had again
	for i := range r.changes {
		back[i] = r.back[i]
		if b := r.before[i]; back[i].pair == nil && r.writes() && (b.pair != nil || b.absent()) && !b.equal(r.next[i]) {
			back[i] = b
			lone = append(lone, i)
		}
	}
	done, err := r.restore(failing, back)
	if err != nil || !done || len(lone) == 0 || e.Step != StepCheck || ctx.Err() != nil {
		return done, err
	}
	// Was it the new files that the check minded? If it minds as much without
	// them, they are better than nothing.
	if r.run(ctx, r.Check, r.event(EventRollback, back, e.Err)) == nil || ctx.Err() != nil {
		return true, nil
	}
	done, err = r.restore(lone, r.next)
	return len(lone) < len(failing) && done, err
}

// rollBack is the way back from what the server may have been told. Once the
// files are back it is true, whatever becomes of the rest.
func (r *run) rollBack(ctx context.Context, e *Error, failing []int) (bool, error) {
	back, undurable := r.restore(failing, r.back)
	if !back {
		return false, undurable
	}
	now := make([]state, len(r.changes))
	copy(now, r.next)
	var which []int
	for _, i := range failing {
		if r.back[i].pair != nil {
			now[i] = r.back[i]
			which = append(which, i)
		}
	}
	ev := r.event(EventRollback, now, e.Err)
	if err := r.run(ctx, r.Check, ev); err != nil {
		return true, fmt.Errorf("reloading it failed too: %w", err)
	}
	err := r.reloaded(ctx, which, now, ev)
	if err == nil {
		return true, undurable
	}
	if !r.up || ctx.Err() != nil {
		return true, err
	}
	r.log.Warn("server is restarted, since it does not serve the previous pair", "err", err)
	if failed := r.run(ctx, r.Restart, ev); failed != nil {
		return true, fmt.Errorf("%w; restarting failed too: %w", err, failed)
	}
	if _, failed := r.verify(ctx, now, untilDeadline); failed != nil {
		return true, fmt.Errorf("%w; restarting did not help: %w", err, failed)
	}
	e.Restarted = true
	return true, undurable
}

// reloaded is the last of the way back: the server serves the states now, of
// which those of the changes which are not what it knows. A server that refuses
// to be reloaded may be serving them still, and more is not wanted.
func (r *run) reloaded(ctx context.Context, which []int, now []state, ev Event) error {
	step, _, err := r.use(ctx, which, now, ev)
	switch {
	case err == nil || step == StepReload && r.serves(ctx, now):
		return nil
	case step == StepReload:
		return fmt.Errorf("reloading it failed too: %w", err)
	}
	return fmt.Errorf("verifying it failed too: %w", err)
}
