package main

import (
	"context"

	"keypaird/cmd/keypaird/fleet"
	"keypaird/cmd/keypaird/output"
)

// fleetCommand makes this machine's key of a fleet, or begins a fleet.
func fleetCommand(ctx context.Context, e *env, args []string) error {
	c := fleet.Command{Stdout: e.Stdout, Hint: e.Hint, Log: output.Logger(e.Stderr, output.Quiet)}
	c.Flags(e.Flags)
	verb, args := fleet.Verb(args)
	words, err := e.Parse(args)
	if err != nil {
		return err
	}
	return c.Run(ctx, e.options(), append(verb, words...))
}
