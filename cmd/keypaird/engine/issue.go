package engine

import (
	"context"

	"keypaird/renew"
	"keypaird/renew/reprobe"
)

// IssueOptions are the options of keypaird issue.
type IssueOptions struct {
	Force, NewKey bool

	Here bool                      // ignore names that no target here has: the fleet answers for those
	Step func(target, step string) // see [renew.Pass]
	Show func(run func())          // runs a pass while it is shown
}

// Issue makes one pass over the targets called names, all if there are none.
func (e *Engine) Issue(ctx context.Context, names []string, o IssueOptions) (did renew.Report, err error) {
	if _, err = e.CAs(); err != nil {
		return did, err
	}
	find := e.Find
	if o.Here {
		find = e.findHere
	}
	targets, err := find(names)
	if err == nil && o.NewKey {
		targets, err = e.WithNewKeys(targets, len(names) > 0)
	}
	if err != nil {
		return did, err
	}
	pass, dryRun := e.Pass(renew.Manual), e.options.DryRun != ""
	if o.Force || dryRun { // own limits protect those of a CA, not of its twin
		pass.Mode = renew.Force
	}
	pass.Beside = func() []renew.Target { return e.Beside(targets) }
	pass.Step, pass.Records = o.Step, new(renew.Records)
	o.Show(func() {
		if dryRun {
			did = pass.Run(ctx, targets)
			return
		}
		e.Prepare(ctx, targets, pass.Records)
		did = reprobe.Run(ctx, pass, targets)
	})
	if len(names) == 0 && !dryRun {
		e.LogUnconfigured()
	}
	return did, nil
}
