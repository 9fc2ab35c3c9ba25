package main

import (
	"context"

	"keypaird/cmd/keypaird/imports"
	"keypaird/cmd/keypaird/output"
)

// importCommand takes over from another ACME client.
func importCommand(ctx context.Context, e *env, args []string) error {
	i := imports.Import{Log: output.Logger(e.stderr, output.Quiet), UserAgent: e.userAgent(), Waiting: e.waiting, Print: e.print}
	i.Flags(e.flags)
	if err := e.parseNone(args); err != nil {
		return err
	}
	return i.Run(ctx, e.options())
}
