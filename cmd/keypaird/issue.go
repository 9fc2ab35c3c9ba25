package main

import (
	"context"
	"fmt"
	"log/slog"

	"keypaird/cmd/keypaird/engine"
	"keypaird/cmd/keypaird/progress"
	"keypaird/renew"
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
	show := progress.New(e.stderr, e.getenv("TERM")) // nil: no terminal
	switch {
	case *verbose:
		log, show = logger(e.stderr, slog.LevelDebug), nil
	case show != nil:
		log = logger(show, slog.LevelWarn)
	}
	w, end, err := e.begin(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer end()
	subjects, err := w.Find(names)
	if err != nil {
		return err
	}
	pass := w.Pass(renew.Manual)
	if *force {
		pass.Mode = renew.Force
	}
	did := runPass(ctx, pass, engine.TargetsOf(subjects), show)
	if *asJSON {
		if err := e.printJSON(status.Results(did.Done, did.Errs)); err != nil {
			return err
		}
	} else {
		for _, d := range did.Done {
			fmt.Fprintln(e.stdout, status.Describe(d))
		}
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

// runPass runs a pass, with its progress shown unless show is nil.
func runPass(ctx context.Context, pass *renew.Pass, targets []renew.Target, show *progress.Display) (did renew.Report) {
	if show == nil {
		return pass.Run(ctx, targets)
	}
	pass.Step = show.Step
	show.Run(func() { did = pass.Run(ctx, targets) })
	return did
}
