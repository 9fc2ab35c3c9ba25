package hooks

import (
	"fmt"
	"slices"
	"strings"

	"keypaird/renew"
	"keypaird/renew/problem"
)

// The steps of a deployment, in order.
const (
	StepInstall = "install" // verify the pair, write the files
	StepCheck   = "check"
	StepReload  = "reload" // or haproxy's socket
	StepVerify  = "verify"
)

// A failureList contains the failures of a deployment, as one error. Targets that are in
// none are in place and verified.
type failureList []*Failure // at least one; a target is in one at most

func (e failureList) Error() string {
	if len(e) == 1 {
		return e[0].Error()
	}
	var list []string
	for _, f := range e {
		list = append(list, fmt.Sprintf("%q: %v", f.Targets, f))
	}
	return strings.Join(list, "; ")
}

func (e failureList) Unwrap() (list []error) {
	for _, f := range e {
		list = append(list, f)
	}
	return list
}

// of returns what failed for a target; nil: nothing.
func (e failureList) of(target string) *Failure {
	for _, f := range e {
		if slices.Contains(f.Targets, target) {
			return f
		}
	}
	return nil
}

// outcome returns how far the targets of a failure got.
func (f *Failure) outcome() renew.Outcome {
	switch {
	case f.Installed:
		return renew.Reloaded
	case f.RolledBack, f.Step == StepInstall && f.RollbackErr == nil: // untouched
		return renew.RolledBack
	}
	return renew.Installed
}

// A Failure is the failure of a step for the targets that share it, and the state in which
// it left them.
type Failure struct {
	Deployment string
	Targets    []string // at least one
	Step       string
	Err        error // what failed

	// The previous pairs are in place again. If the server was reloaded
	// with the new ones, it was reloaded again, unless RollbackErr.
	RolledBack  bool
	Restarted   bool  // Reload was not enough for that, Restart was
	RollbackErr error // what failed on the way back
	// Files and reload took effect and were not taken back: only verification
	// is missing.
	Installed bool

	targets []*target
}

func (f *Failure) Error() string {
	s := f.Err.Error()
	if f.Step == StepVerify {
		s = "verifying: " + s
	}
	switch {
	case f.RolledBack && f.RollbackErr != nil:
		return s + "; the previous pair is back in place, but " + f.RollbackErr.Error()
	case f.RollbackErr != nil:
		return s + "; going back to the previous pair failed too: " + f.RollbackErr.Error()
	case f.Restarted:
		return s + "; the previous pair is back in place, and the server was restarted for it"
	case f.RolledBack:
		return s + "; the previous pair is back in place"
	case f.Installed && f.targets[0].Seen == nil:
		return s + "; the new pair stays in place"
	}
	return s
}

func (f *Failure) Unwrap() error { return f.Err }

// Remedy says what the operator can do about it.
func (f *Failure) Remedy() string {
	if remedy := problem.Remedy(f.Err); remedy != "" {
		return remedy
	}
	if f.Step == StepVerify {
		return "see in the server's log whether it took the new pair, and whether it listens where verify of [deploy." + f.Deployment + "] says, then: keypaird issue"
	}
	return "correct [deploy." + f.Deployment + "] in the configuration, then: keypaird issue"
}

// failure returns a failure of the given targets.
func (r *run) failure(step string, err error, targets ...*target) *Failure {
	f := &Failure{Deployment: r.Name, Step: step, Err: err, targets: targets}
	for _, t := range targets {
		f.Targets = append(f.Targets, t.Name)
	}
	return f
}

// all returns one failure of all targets.
func (r *run) all(step string, err error) []*Failure {
	return []*Failure{r.failure(step, err, r.targets...)}
}

// joined returns the failures as one error; nil: there are none.
func joined(list []*Failure) error {
	if len(list) == 0 {
		return nil
	}
	return failureList(list)
}

// split returns the failures of some targets, and those of the others: one that
// both share is split.
func (r *run) split(failures []*Failure, of func(*target) bool) (with, without []*Failure) {
	for _, f := range failures {
		var in, out []*target
		for _, t := range f.targets {
			if of(t) {
				in = append(in, t)
			} else {
				out = append(out, t)
			}
		}
		if len(in) > 0 {
			with = append(with, r.failure(f.Step, f.Err, in...))
		}
		if len(out) > 0 {
			without = append(without, r.failure(f.Step, f.Err, out...))
		}
	}
	return with, without
}
