package main

import (
	"context"
	"fmt"

	"keypaird/cmd/keypaird/accounts"
	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/engine"
	"keypaird/cmd/keypaird/output"
)

// accountCommand shows or changes the accounts at CAs.
func accountCommand(ctx context.Context, e *env, args []string) error {
	asJSON := e.flags.Bool("json", false, "print the accounts as JSON")
	words, err := e.parse(args)
	if err != nil {
		return err
	}
	acts := map[string]accounts.Act{"show": nil, "register": accounts.Register, "rollover": accounts.Rollover, "deactivate": accounts.Deactivate}
	verb := "show"
	if len(words) > 0 {
		verb, words = words[0], words[1:]
	}
	act, known := acts[verb]
	switch {
	case !known:
		return &usageError{problem: fmt.Sprintf("account does not %q", verb)}
	case act != nil && len(words) == 0:
		return &usageError{problem: "account " + verb + " needs the name of a CA"}
	}
	cfg, err := e.load()
	if err != nil {
		return err
	}
	w, end, err := e.accountEngine(ctx, cfg, act != nil)
	if err != nil {
		return err
	}
	defer end()
	cas, err := accounts.Names(w, words)
	if err != nil {
		return err
	}
	rows, err := accounts.Each(ctx, w, cas, act)
	if err != nil {
		return err
	}
	if err := e.print(rows, *asJSON); err != nil {
		return err
	}
	if rows.Failed() > 0 {
		return errReported
	}
	return nil
}

// accountEngine makes an engine, which waits for other keypairds if it is to change something.
func (e *env) accountEngine(ctx context.Context, cfg *config.Config, changes bool) (*engine.Engine, func(), error) {
	log := output.Logger(e.stderr, output.Quiet)
	if changes {
		return e.begin(ctx, cfg, engine.Options{Log: log})
	}
	w, err := e.engine(cfg, engine.Options{Log: log})
	if err != nil {
		return nil, nil, err
	}
	return w, w.Close, nil
}
