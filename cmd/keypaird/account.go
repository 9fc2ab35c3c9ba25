package main

import (
	"context"
	"fmt"

	"keypaird/cmd/keypaird/accounts"
	"keypaird/cmd/keypaird/cli"
	"keypaird/cmd/keypaird/daemon"
	"keypaird/cmd/keypaird/engine"
	"keypaird/cmd/keypaird/output"
)

// accountCommand shows or changes the accounts at CAs.
func accountCommand(ctx context.Context, e *env, args []string) error {
	asJSON := e.Flags.Bool("json", false, "print the accounts as JSON")
	words, err := e.Parse(args)
	if err != nil {
		return err
	}
	verb := "show"
	if len(words) > 0 {
		verb, words = words[0], words[1:]
	}
	act, known := accounts.Acts[verb]
	switch {
	case !known:
		return cli.Usage(fmt.Sprintf("account does not %q", verb))
	case act != nil && len(words) == 0:
		return cli.Usage("account " + verb + " needs the name of a CA")
	}
	cfg, err := e.load()
	if err != nil {
		return err
	}
	eng, err := e.confined(cfg, engine.Options{Log: output.Logger(e.Stderr, output.Quiet)})
	if err != nil {
		return err
	}
	viaFleet := verb == "rollover" && cfg.InFleet() && daemon.Runs(cfg.State)
	end := eng.Close
	if act != nil && !viaFleet { // else no lock is needed
		if end, err = eng.Begin(ctx, e.Waiting); err != nil {
			return err
		}
	}
	defer end()
	cas, err := accounts.Names(eng, words)
	if err != nil {
		return err
	}
	var rows accounts.Accounts
	if viaFleet {
		rows, err = e.fleet().Rollover(ctx, cfg, cas)
	} else {
		rows, err = accounts.Each(ctx, eng, cas, act)
	}
	if err != nil {
		return err
	}
	if err := e.Print(rows, *asJSON); err != nil {
		return err
	}
	if rows.Failed() > 0 {
		return cli.ErrReported
	}
	return nil
}
