package main

import (
	"context"

	"keypaird/cmd/keypaird-names/message"
	"keypaird/cmd/keypaird/cli"
	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/engine"
	"keypaird/cmd/keypaird/names"
	"keypaird/cmd/keypaird/output"
)

// verifyCommand dials the endpoints of deployments, and those that the peers of a
// domain find, and compares what is served with what should be.
func verifyCommand(ctx context.Context, e *env, args []string) error {
	asJSON := e.Flags.Bool("json", false, "print the checks as JSON")
	asTAP := e.Flags.Bool("tap", false, "print the checks in the Test Anything Protocol, version 13")
	with := names.Flags(e.Flags)
	args, err := e.Parse(args)
	if err != nil {
		return err
	}
	if *asJSON && *asTAP {
		return cli.Usage("-json and -tap exclude each other")
	}
	v, err := names.Prepare(names.Options{
		Names: args, With: with, Warn: e.Warn,
		Config: e.options(),
		Engine: func(cfg *config.Config) (*engine.Engine, error) {
			return e.engine(cfg, engine.Options{Log: output.Logger(e.Stderr, output.Quiet)})
		},
	})
	if err != nil {
		return err
	}
	defer v.Close()
	if len(v.Domains) == 0 && len(with.Services)+len(with.Components) > 0 {
		return cli.Usage("-service and -component are about domains: name one")
	}
	r := message.Request{Verify: &v.Verify, Lookup: v.Lookup}
	switch {
	case *asJSON:
		r.Format = message.JSON
	case *asTAP:
		r.Format = message.TAP
	}
	return names.Print(ctx, r, e.Style(), e.Stdout, e.Stderr)
}
