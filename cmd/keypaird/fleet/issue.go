package fleet

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/engine"
	"keypaird/renew"
	"keypaird/renew/fleet/document"
	"keypaird/renew/problem"
	"keypaird/renew/status"
)

// An Issued is the result of keypaird issue in a fleet.
type Issued struct {
	Results status.Results
	Changed int // targets
	Errs    []error
}

// Issue asks the node in the seat to order for the targets called names, all if there are
// none.
func (c *Command) Issue(ctx context.Context, cfg *config.Config, names []string, force, newKey bool) (i Issued) {
	answer, err := c.Ask(ctx, cfg, names, document.Ask{Do: document.Issue, Force: force, NewKey: newKey})
	for _, did := range answer.Outcomes {
		r := status.Result{
			Done: renew.Done{Target: did.Target, Action: renew.None, CA: did.CA, NotAfter: did.NotAfter, Why: did.Why},
			OK:   did.Error == "", Step: did.Step, Error: did.Error, Remedy: did.Remedy,
		}
		if did.Action != "" {
			r.Action = renew.Action(did.Action)
			i.Changed++
		}
		if !r.OK {
			text := did.Error
			if did.Step != "" {
				text = did.Step + ": " + text
			}
			i.Errs = append(i.Errs, problem.New(fmt.Sprintf("cert %q: %s", did.Target, text), did.Remedy))
		}
		i.Results = append(i.Results, r)
	}
	if err != nil {
		i.Errs = append(i.Errs, err)
	}
	return i
}

// choose returns those of all targets that an operator names; without names, all.
func choose(all, names []string) (found []string, err error) {
	if len(names) == 0 {
		return all, nil
	}
	for _, name := range names {
		if name = engine.TargetName(name); !slices.Contains(all, name) {
			return nil, problem.Newf("its names: "+strings.Join(all, " "), "the configuration has no certificate %q", name)
		}
		found = append(found, name)
	}
	return found, nil
}
