package main

import (
	"context"
	"fmt"

	"keypaird/cmd/keypaird/cli"
	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/engine"
	"keypaird/cmd/keypaird/fleet"
	"keypaird/cmd/keypaird/output"
	"keypaird/cmd/keypaird/preflight"
	"keypaird/renew/textfmt"
)

// checkCommand reads the configuration and reports every mistake; with -live it
// also tests what issuing needs. It orders nothing.
func checkCommand(ctx context.Context, e *env, args []string) error {
	live := e.Flags.Bool("live", false, "also test what issuing needs: CAs, DNS accounts, http-01, CAA, files, TLSA records, and the names that peers need")
	asJSON := e.Flags.Bool("json", false, "print the findings as JSON")
	if err := e.ParseNone(args); err != nil {
		return err
	}
	cfg, err := e.load()
	if found := preflight.Unloaded(err); *asJSON && found != nil {
		if err := e.PrintJSON(found); err != nil {
			return err
		}
		return cli.ErrReported
	}
	if err != nil {
		return err
	}
	found, err := findings(ctx, e, cfg, *live)
	if err != nil {
		return err
	}
	if err := e.Print(found, *asJSON); err != nil {
		return err
	}
	if n := found.Failures(); n > 0 {
		return fmt.Errorf("%d of %d checks failed", n, len(found))
	}
	if !*asJSON {
		n := len(cfg.Targets())
		fmt.Fprintf(e.Stdout, "configuration is correct: %d %s\n", n, textfmt.Plural(n, "target", "targets"))
	}
	return nil
}

// findings is not nil without an error, so that its JSON is an array.
func findings(ctx context.Context, e *env, cfg *config.Config, live bool) (preflight.Findings, error) {
	found := append(preflight.Findings{}, preflight.Rewritable(cfg, e.options().File())...)
	if !live {
		return append(append(found, preflight.Configuration(ctx, cfg)...), fleet.Check(cfg)...), nil
	}
	log := output.Logger(e.Stderr, output.Quiet)
	w, err := e.confined(cfg, engine.Options{Log: log})
	if err != nil {
		return nil, err
	}
	end, err := w.Begin(ctx, e.Waiting)
	if err != nil {
		return nil, err
	}
	defer end()
	more, err := preflight.Live(ctx, w)
	if err != nil {
		return nil, err
	}
	found = append(append(found, more...), fleet.CheckLive(ctx, cfg, log)...)
	return found, context.Cause(ctx)
}
