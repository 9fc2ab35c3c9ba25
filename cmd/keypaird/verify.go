package main

import (
	"context"
	"fmt"

	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/engine"
	"keypaird/cmd/keypaird/names"
	"keypaird/cmd/keypaird/output"
	"keypaird/hooks/verify"
)

// verifyCommand dials the endpoints of deployments, and those that the peers of a
// domain find, and compares what is served with what should be.
func verifyCommand(ctx context.Context, e *env, args []string) error {
	asJSON := e.flags.Bool("json", false, "print the checks as JSON")
	asTAP := e.flags.Bool("tap", false, "print the checks in the Test Anything Protocol, version 13")
	roots := e.flags.String("roots", "", "trust the CAs in this PEM `file` too")
	with := names.Flags(e.flags)
	args, err := e.parse(args)
	if err != nil {
		return err
	}
	if *asJSON && *asTAP {
		return &usageError{problem: "-json and -tap exclude each other"}
	}
	v, err := names.Prepare(names.Options{
		Names: args, Roots: *roots, With: with,
		Config: e.options(),
		Engine: func(cfg *config.Config) (*engine.Engine, error) {
			return e.engine(cfg, output.Logger(e.stderr, output.Quiet))
		},
		Warn: func(message, remedy string) {
			fmt.Fprintf(e.stderr, "keypaird: %s\n", message)
			printRemedy(e.stderr, remedy)
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
		err = e.printJSON(rows)
	case *asTAP && len(rows) > 0:
		err = verify.WriteTAP(e.stdout, rows)
	default:
		err = verify.WriteText(e.stdout, rows)
	}
	if err != nil {
		return err
	}
	return verify.Err(rows)
}
