package main

import (
	"context"

	"keypaird/cmd/keypaird-names/message"
	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/engine"
	"keypaird/cmd/keypaird/names"
	"keypaird/cmd/keypaird/output"
)

// verifyCommand dials the endpoints of deployments, and those that the peers of a
// domain find, and compares what is served with what should be.
func verifyCommand(ctx context.Context, e *env, args []string) error {
	asJSON := e.flags.Bool("json", false, "print the checks as JSON")
	asTAP := e.flags.Bool("tap", false, "print the checks in the Test Anything Protocol, version 13")
	with := names.Flags(e.flags)
	args, err := e.parse(args)
	if err != nil {
		return err
	}
	if *asJSON && *asTAP {
		return &usageError{problem: "-json and -tap exclude each other"}
	}
	v, err := names.Prepare(names.Options{
		Names: args, With: with, Warn: e.warn,
		Config: e.options(),
		Engine: func(cfg *config.Config) (*engine.Engine, error) {
			return e.engine(cfg, engine.Options{Log: output.Logger(e.stderr, output.Quiet)})
		},
	})
	if err != nil {
		return err
	}
	defer v.Close()
	if len(v.Domains) == 0 && len(with.Services)+len(with.Components) > 0 {
		return &usageError{problem: "-service and -component are about domains: name one"}
	}
	r := message.Request{Verify: &v.Verify, Lookup: v.Lookup}
	switch {
	case *asJSON:
		r.Format = message.JSON
	case *asTAP:
		r.Format = message.TAP
	}
	return e.ask(ctx, r)
}
