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
	format, with := names.Formats(e.Flags), names.Flags(e.Flags)
	args, err := e.Parse(args)
	if err != nil {
		return err
	}
	var r message.Request
	if r.Format, err = format(); err != nil {
		return err
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
	r.Verify, r.Lookup = &v.Verify, v.Lookup
	return names.Print(ctx, r, e.Style(), e.Stdout, e.Stderr)
}

// discoverCommand finds the endpoints and names that the services of a domain need, or
// with -plan what a move of its Matrix federation changes. It needs no
// configuration and changes nothing.
func discoverCommand(ctx context.Context, e *env, args []string) error {
	o := names.NewDiscovery(e.Flags)
	domains, err := e.Parse(args)
	if err != nil {
		return err
	}
	r, err := o.Request(domains, e.Warn)
	if err != nil {
		return err
	}
	return names.Print(ctx, r, e.Style(), e.Stdout, e.Stderr)
}
