package main

import (
	"context"
	"log/slog"

	"keypaird/cmd/keypaird/progress"
	"keypaird/renew"
	"keypaird/renew/reprobe"
	"keypaird/renew/status"
)

// issueCommand makes one pass now: for an operator, or for cron.
func issueCommand(ctx context.Context, e *env, args []string) error {
	force := e.flags.Bool("force", false, "renew even if not due, ignoring the rate limit")
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
	log := logger(e.stderr, slog.LevelInfo)
	show := progress.New(e.stderr, e.getenv("TERM"))
	switch {
	case *verbose:
		log, show = logger(e.stderr, slog.LevelDebug), nil
	case show != nil: // in place of the events of each step
		log = logger(show, slog.LevelWarn)
	}
	w, end, err := e.begin(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer end()
	targets, err := w.Find(names)
	if err != nil {
		return err
	}
	helpServersStart(ctx, w, targets, log)
	pass := w.Pass(renew.Manual)
	if *force {
		pass.Mode = renew.Force
	}
	pass.Step, pass.Records = show.Step, new(renew.Records)
	var did renew.Report
	show.Run(func() {
		w.CopyRenamed(targets, pass.Records)
		did = reprobe.Run(ctx, pass, targets)
	})
	if err := e.print(status.ResultsOf(did.Done, did.Errs), *asJSON); err != nil {
		return err
	}
	switch {
	case len(did.Errs) > 0:
		report(e.stderr, did.Errs...)
		return errReported
	case len(did.Done) == 0:
		return errNothing
	}
	return nil
}
