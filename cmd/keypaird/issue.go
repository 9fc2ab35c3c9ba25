package main

import (
	"context"
	"errors"
	"os"

	"keypaird/cmd/keypaird/cli"
	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/daemon"
	"keypaird/cmd/keypaird/engine"
	"keypaird/cmd/keypaird/fleet"
	"keypaird/renew/status"
)

// issueOptions are those of issueCommand that say what is ordered.
type issueOptions struct {
	force, newKey, dryRun, alone, check bool

	asks, json, verbose bool // asks: the fleet, since the daemon of this node runs
}

// flags adds the options.
func (o *issueOptions) flags(e *env) {
	e.Flags.BoolVar(&o.force, "force", false, "renew even if not due, ignoring the rate limit")
	e.Flags.BoolVar(&o.newKey, "new-key", false, "renew with another private key, also if not due, within the rate limit; with TLSA records only once those of the next key are published")
	e.Flags.BoolVar(&o.alone, "alone", false, "order without the engine of the fleet while it cannot be used, as a last resort; the names of targets are required")
	e.Flags.BoolVar(&o.check, "check", false, "first do what check -live and issue -dry-run do; order nothing if something fails")
	e.Flags.BoolVar(&o.dryRun, "dry-run", false, "try everything at the CAs' twins for tests; what is issued is neither stored nor deployed")
	e.Flags.BoolVar(&o.json, "json", false, "print what was done as JSON")
	e.Flags.BoolVar(&o.verbose, "v", false, "log every step")
}

// decide sets whether the fleet is asked, or this node orders alone. The error says why it
// may not.
func (o *issueOptions) decide(e *env, cfg *config.Config, names []string) error {
	if o.check && o.json {
		return cli.Usage("-check and -json exclude each other")
	}
	e.alone = o.alone
	if o.dryRun || o.check {
		e.writes = []string{os.TempDir()}
	}
	o.asks = cfg.InFleet() && !o.dryRun && !o.alone && daemon.Runs(cfg.State)
	if !o.alone {
		return nil
	}
	if len(names) == 0 || o.dryRun || o.check {
		return cli.Usage("issue -alone takes the names of targets, and neither -check nor -dry-run")
	}
	return fleet.MayOrderAlone(cfg)
}

// issueCommand makes one pass now: for an operator, or for cron.
func issueCommand(ctx context.Context, e *env, args []string) error {
	var o issueOptions
	o.flags(e)
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
	if o.check {
		if err := e.check(ctx, cfg, true, false); err != nil {
			return err
		}
		dry := o
		dry.dryRun, dry.asks = true, false
		if err := dry.issue(ctx, e, cfg, names); o.dryRun || err != nil && !errors.Is(err, cli.ErrNothing) {
			return err
		}
	}
	return o.issue(ctx, e, cfg, names)
}

// issue makes the pass.
func (o issueOptions) issue(ctx context.Context, e *env, cfg *config.Config, names []string) (err error) {
	show, log := e.Progress(o.verbose)
	var dir string
	if o.dryRun {
		if dir, err = os.MkdirTemp("", "keypaird-"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	eng, err := e.confined(cfg, engine.Options{Log: log, DryRun: dir, Twinless: o.check})
	if err != nil {
		return err
	}
	var asked fleet.Issued
	switch {
	case o.alone:
		show.Run(func() { err = e.fleet().CheckUnusable(ctx, cfg) })
	case o.asks: // after that, this process only deploys
		show.Run(func() { asked = e.fleet().Issue(ctx, cfg, names, o.force, o.newKey) })
		o.force, o.newKey = false, false
	}
	if err != nil {
		return err
	}
	end, err := eng.Begin(ctx, e.Waiting)
	if err != nil {
		return err
	}
	defer end()
	did, err := eng.Issue(ctx, names, engine.IssueOptions{Force: o.force, NewKey: o.newKey, Here: o.asks || o.dryRun && o.check, Step: show.Step, Show: show.Run})
	if err != nil {
		return err
	}
	if o.dryRun {
		e.Hint("this was a dry run: nothing is stored, and nothing was deployed")
	}
	return e.Finish(append(append(status.Results{}, asked.Results...), status.ResultsOf(did.Done, did.Errs, show.Took)...), asked.Changed+len(did.Done), append(asked.Errs, did.Errs...), o.json)
}
