package main

import (
	"context"
	"fmt"
	"strings"

	"keypaird/cmd/keypaird/cli"
	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/engine"
	"keypaird/cmd/keypaird/fleet"
	"keypaird/cmd/keypaird/output"
	"keypaird/renew"
	"keypaird/renew/fleet/document"
	"keypaird/renew/problem"
	"keypaird/renew/status"
)

// fleetCommand makes this machine's key of a fleet, begins a fleet, shows it, or asks the
// node that orders for something.
func fleetCommand(ctx context.Context, e *env, args []string) error {
	c := e.fleet()
	c.Flags(e.Flags)
	verb, args := fleet.Verb(args)
	words, err := e.Parse(args)
	if err != nil {
		return err
	}
	if len(verb) > 0 && verb[0] != "remove" {
		words = targetNames(words)
	}
	return c.Run(ctx, e.options(), append(verb, words...))
}

// targetNames returns the names of targets that an operator calls so.
func targetNames(words []string) []string {
	names := make([]string, 0, len(words))
	for _, word := range words {
		names = append(names, engine.TargetName(word))
	}
	return names
}

func (e *env) fleet() *fleet.Command {
	return &fleet.Command{Stdout: e.Stdout, Hint: e.Hint, Log: output.Logger(e.Stderr, output.Quiet)}
}

// A fleetAnswer is what the fleet did for keypaird issue.
type fleetAnswer struct {
	results status.Results
	changed int // targets
	errs    []error
}

// askFleet has the node in the seat order. After that, this process only deploys.
// The error says that nothing is to be done: the fleet could, and this node is to do it alone.
func (e *env) askFleet(ctx context.Context, cfg *config.Config, names []string, o *issueOptions) (a fleetAnswer, err error) {
	switch {
	case o.alone:
		return a, e.fleet().Unusable(ctx, cfg)
	case !o.asks:
		return a, nil
	}
	answer, err := e.fleet().Ask(ctx, cfg, targetNames(names), document.Ask{Do: document.Issue, Force: o.force, NewKey: o.newKey})
	o.force, o.newKey = false, false
	for _, did := range answer.Outcomes {
		r := status.Result{
			Done: renew.Done{Target: did.Target, Action: renew.None, CA: did.CA, NotAfter: did.NotAfter, Why: did.Why},
			OK:   did.Error == "", Step: did.Step, Error: did.Error, Remedy: did.Remedy,
		}
		if did.Action != "" {
			r.Action = renew.Action(did.Action)
			a.changed++
		}
		if !r.OK {
			text := did.Error
			if did.Step != "" {
				text = did.Step + ": " + text
			}
			a.errs = append(a.errs, problem.New(fmt.Sprintf("cert %q: %s", did.Target, text), did.Remedy))
		}
		a.results = append(a.results, r)
	}
	if err != nil {
		a.errs = append(a.errs, err)
	}
	return a, nil
}

// decide decides whether the fleet is asked. The error says why this node does not order
// alone.
func (o *issueOptions) decide(e *env, cfg *config.Config, names []string) error {
	e.alone = o.alone
	o.asks = cfg.InFleet() && !o.dryRun && !o.alone && daemonRuns(cfg)
	switch {
	case !o.alone:
	case len(names) == 0 || o.dryRun:
		return cli.Usage("issue -alone takes the names of targets, and no -dry-run")
	case !cfg.InFleet():
		return problem.New("this machine is in no fleet", "leave -alone out")
	case !cfg.OrdersHere():
		return problem.Newf("run it on one of "+strings.Join(cfg.Fleet.Order, ", "), "this node, %q, may not order", cfg.Fleet.Node)
	}
	return nil
}
