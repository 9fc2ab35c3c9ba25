package main

import (
	"context"

	"keypaird/cmd/keypaird/fleet"
	"keypaird/cmd/keypaird/output"
)

// fleetCommand makes this machine's key of a fleet, begins a fleet, shows it, or asks the
// node that orders for something.
func fleetCommand(ctx context.Context, e *env, args []string) error {
	c := e.fleet()
	c.Flags(e.Flags)
	verb, args := fleet.Verb(args)
	words, err := e.Parse(args)
	if err != nil {
		return err
	}
	return c.Run(ctx, e.options(), append(verb, words...))
}

func (e *env) fleet() *fleet.Command {
	return &fleet.Command{Stdout: e.Stdout, Hint: e.Hint, Log: output.Logger(e.Stderr, output.Quiet)}
}
