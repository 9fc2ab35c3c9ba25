package main

import (
	"context"

	"keypaird/cmd/keypaird/imports"
	"keypaird/cmd/keypaird/output"
)

// importCommand takes over from another ACME client.
func importCommand(ctx context.Context, e *env, args []string) error {
	i := imports.Import{Log: output.Logger(e.Stderr, output.Quiet), UserAgent: e.userAgent(), Waiting: e.Waiting, Print: e.Print}
	i.Flags(e.Flags)
	if err := e.ParseNone(args); err != nil {
		return err
	}
	return i.Run(ctx, e.options())
}
