package main

import (
	"context"
	"fmt"

	"keypaird/cmd/keypaird/cli"
	"keypaird/cmd/keypaird/config"
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
	return e.check(ctx, cfg, *live, *asJSON)
}

// check prints what it finds. With failures there is an error.
func (e *env) check(ctx context.Context, cfg *config.Config, live, asJSON bool) error {
	found := append(preflight.Findings{}, preflight.Rewritable(cfg, e.options().File())...) // not nil: its JSON is an array
	if live {
		log := output.Logger(e.Stderr, output.Quiet)
		eng, end, err := e.begin(ctx, func() (*config.Config, error) { return cfg, nil }, log)
		if err != nil {
			return err
		}
		defer end()
		more, err := preflight.Live(ctx, eng)
		if err != nil {
			return err
		}
		found = append(append(found, more...), fleet.CheckLive(ctx, cfg, log)...)
	} else {
		found = append(append(found, preflight.Configuration(ctx, cfg)...), fleet.Check(cfg)...)
	}
	err := context.Cause(ctx)
	if err == nil {
		err = e.Print(found, asJSON)
	}
	if n := found.Failures(); n > 0 && err == nil {
		err = fmt.Errorf("%d of %d checks failed", n, len(found))
	}
	if n := len(cfg.Targets()); !asJSON && err == nil {
		fmt.Fprintf(e.Stdout, "configuration is correct: %d %s\n", n, textfmt.Plural(n, "target", "targets"))
	}
	return err
}
