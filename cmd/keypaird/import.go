package main

import (
	"context"

	"keypaird/cmd/keypaird/engine"
	"keypaird/cmd/keypaird/imports"
	"keypaird/cmd/keypaird/output"
)

// importCommand takes over from another ACME client.
func importCommand(ctx context.Context, e *env, args []string) error {
	var i imports.Import
	i.Flags(e.flags)
	asJSON := e.flags.Bool("json", false, "print what was found and done as JSON")
	if err := e.parseNone(args); err != nil {
		return err
	}
	i.Load, i.Engine, i.Waiting = e.options(), engine.Options{Log: output.Logger(e.stderr, output.Quiet), UserAgent: e.userAgent()}, e.waiting
	found, err := i.Run(ctx)
	if found != nil {
		if printed := e.print(found, *asJSON); err == nil {
			err = printed
		}
	}
	return err
}
