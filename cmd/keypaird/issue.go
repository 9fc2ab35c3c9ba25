package main

import (
	"context"

	"keypaird/renew"
	"keypaird/renew/reprobe"
	"keypaird/renew/status"
)

// issueCommand makes one pass now: for an operator, or for cron.
func issueCommand(ctx context.Context, e *env, args []string) error {
	force := e.flags.Bool("force", false, "renew even if not due, ignoring the rate limit")
	newKey := e.flags.Bool("new-key", false, "renew with another private key, also if not due, within the rate limit; with TLSA records only once those of the next key are published")
	asJSON := e.flags.Bool("json", false, "print what was done as JSON")
	verbose := e.flags.Bool("v", false, "log every step")
	names, err := e.parse(args)
	if err != nil {
		return err
	}
	cfg, err := e.load()
	if err != nil {
		return err
	}
	show, log := e.progress(*verbose)
	w, end, err := e.begin(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer end()
	if _, err := w.CAs(); err != nil {
		return err
	}
	targets, err := w.Find(names)
	if err != nil {
		return err
	}
	pass := w.Pass(renew.Manual)
	if *newKey {
		if targets, err = w.WithNewKeys(targets, len(names) > 0); err != nil {
			return err
		}
	}
	if *force {
		pass.Mode = renew.Force
	}
	pass.Step, pass.Records = show.Step, new(renew.Records)
	var did renew.Report
	show.Run(func() {
		w.Prepare(ctx, targets, pass.Records)
		did = reprobe.Run(ctx, pass, targets)
	})
	if len(names) == 0 {
		w.LogUnconfigured()
	}
	return e.finish(status.ResultsOf(did.Done, did.Errs), len(did.Done), did.Errs, *asJSON)
}
