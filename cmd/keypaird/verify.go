package main

import (
	"context"
	"fmt"
	"strings"

	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/engine"
	"keypaird/cmd/keypaird/names"
	"keypaird/hooks/verify"
)

// verify dials the endpoints of deployments, and those that the peers of a
// domain find, and compares what is served with what should be.
func (a *app) verify(ctx context.Context, args []string) error {
	flags := a.flags("verify")
	asJSON := flags.Bool("json", false, "print the checks as JSON")
	asTAP := flags.Bool("tap", false, "print the checks in the Test Anything Protocol, version 13")
	roots := flags.String("roots", "", "trust the CAs in this PEM `file` too")
	with := names.Flags(flags)
	if err := parse(flags, args); err != nil {
		return err
	}
	if *asJSON && *asTAP {
		return &UsageError{"-json and -tap exclude each other"}
	}
	for _, name := range flags.Args() {
		if strings.HasPrefix(name, "-") {
			return &UsageError{fmt.Sprintf("%s stands after a name: options go before names", name)}
		}
	}
	v, err := names.Prepare(names.Options{
		Names: flags.Args(), Roots: *roots, With: with,
		Config: config.Options{Path: a.config, Getenv: a.env},
		Engine: func(cfg *config.Config) (*engine.Engine, error) { return a.engine(cfg, a.logger(levelQuiet)) },
		Known:  known,
		Warn: func(message, remedy string) {
			fmt.Fprintf(a.stderr, "keypaird: %s\n", message)
			printRemedy(a.stderr, remedy)
		},
	})
	if err != nil {
		return err
	}
	defer v.Close()
	rows, err := v.Verify(ctx, v.Targets, v.Domains)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	switch {
	case *asJSON && len(rows) > 0:
		err = a.printJSON(rows)
	case *asTAP && len(rows) > 0:
		err = verify.WriteTAP(a.stdout, rows)
	default:
		err = verify.WriteText(a.stdout, rows)
	}
	if err != nil {
		return err
	}
	return verify.Err(rows)
}
