package main

import (
	"context"
	"os"

	"keypaird/cmd/keypaird/imports"
	"keypaird/cmd/keypaird/output"
)

// importCommand takes over from another ACME client.
func importCommand(ctx context.Context, e *env, args []string) error {
	i := imports.Import{Log: output.Logger(e.Stderr, output.Quiet), Waiting: e.Waiting, Print: e.Print, Confine: true}
	i.Flags(e.Flags)
	if err := e.ParseNone(args); err != nil {
		return err
	}
	return i.Run(ctx, e.options())
}

// disablerCommand turns off, for another keypaird, what runs another ACME client.
func disablerCommand(ctx context.Context, e *env, args []string) error {
	if err := e.ParseNone(args); err != nil {
		return err
	}
	return imports.Disabler(ctx, os.Stdin, e.Stdout)
}
