package main

import (
	"context"
	"fmt"
	"os"
	"slices"

	"keypaird/cmd/keypaird/engine"
	"keypaird/renew"
	"keypaird/renew/reprobe"
	"keypaird/renew/status"
)

// issueOptions are those of issueCommand that say what is ordered.
type issueOptions struct {
	force, newKey, dryRun, alone bool

	asks bool // the fleet, since the daemon of this node runs
}

// targets returns those called names, all if there are none.
func (o issueOptions) targets(w *engine.Engine, names []string) ([]renew.Target, error) {
	if _, err := w.CAs(); err != nil {
		return nil, err
	}
	here := names
	if o.asks { // others are for other nodes, or the answer says that there are none
		here = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !w.HasTarget(engine.TargetName(name)) })
		if len(here) == 0 && len(names) > 0 {
			return nil, nil
		}
	}
	targets, err := w.Find(here)
	if err == nil && o.newKey {
		targets, err = w.WithNewKeys(targets, len(names) > 0)
	}
	return targets, err
}

// flags adds the options.
func (o *issueOptions) flags(e *env) {
	e.Flags.BoolVar(&o.force, "force", false, "renew even if not due, ignoring the rate limit")
	e.Flags.BoolVar(&o.newKey, "new-key", false, "renew with another private key, also if not due, within the rate limit; with TLSA records only once those of the next key are published")
	e.Flags.BoolVar(&o.alone, "alone", false, "order without the engine of the fleet while it cannot be used, as a last resort; the names of targets are required")
	e.Flags.BoolVar(&o.dryRun, "dry-run", false, "try everything at the CAs' twins for tests; what is issued is neither stored nor deployed")
}

// pass returns the pass over targets.
func (o issueOptions) pass(w *engine.Engine, targets []renew.Target) *renew.Pass {
	pass := w.Pass(renew.Manual)
	if o.force || o.dryRun { // own limits protect those of a CA, not of its twin
		pass.Mode = renew.Force
	}
	pass.Beside = func() []renew.Target { return w.Beside(targets) }
	pass.Records = new(renew.Records)
	return pass
}

// issueCommand makes one pass now: for an operator, or for cron.
func issueCommand(ctx context.Context, e *env, args []string) error {
	var o issueOptions
	o.flags(e)
	asJSON := e.Flags.Bool("json", false, "print what was done as JSON")
	verbose := e.Flags.Bool("v", false, "log every step")
	names, err := e.Parse(args)
	if err != nil {
		return err
	}
	cfg, err := e.load()
	if err != nil {
		return err
	}
	if err := o.decide(e, cfg, names); err != nil {
		return err
	}
	show, log := e.Progress(*verbose)
	var dir string
	if o.dryRun {
		if dir, err = os.MkdirTemp("", "keypaird-"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	w, err := e.confined(cfg, engine.Options{Log: log, DryRun: dir})
	if err != nil {
		return err
	}
	var asked fleetAnswer
	show.Run(func() { asked, err = e.askFleet(ctx, cfg, names, &o) })
	if err != nil {
		return err
	}
	end, err := w.Begin(ctx, e.Waiting)
	if err != nil {
		return err
	}
	defer end()
	targets, err := o.targets(w, names)
	if err != nil {
		return err
	}
	pass := o.pass(w, targets)
	pass.Step = show.Step
	var did renew.Report
	if o.dryRun {
		show.Run(func() { did = pass.Run(ctx, targets) })
		fmt.Fprintln(e.Stderr, "keypaird: this was a dry run: nothing is stored, and nothing was deployed")
		return e.Finish(status.ResultsOf(did.Done, did.Errs, show.Took), len(did.Done), did.Errs, *asJSON)
	}
	show.Run(func() {
		w.Prepare(ctx, targets, pass.Records)
		did = reprobe.Run(ctx, pass, targets)
	})
	if len(names) == 0 {
		w.LogUnconfigured()
	}
	return e.Finish(append(append(status.Results{}, asked.results...), status.ResultsOf(did.Done, did.Errs, show.Took)...), asked.changed+len(did.Done), append(asked.errs, did.Errs...), *asJSON)
}
