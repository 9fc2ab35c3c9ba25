package main

import (
	"cmp"
	"context"
	"os"

	"keypaird/cmd/keypaird/cli"
	"keypaird/cmd/keypaird/initial"
)

// initCommand writes a first configuration: what it needs is asked at a terminal, or
// said by flags.
func initCommand(ctx context.Context, e *env, args []string) error {
	o := initial.Flags(e.Flags)
	domains, err := e.Parse(args)
	if err != nil {
		return err
	}
	if len(domains) > 1 {
		return cli.Usage("init takes one domain, after the options")
	}
	streams := initial.Streams{Getenv: e.Getenv, In: os.Stdin, Out: e.Stdout, Err: e.Stderr}
	return initial.Run(ctx, o, cmp.Or(append(domains, "")...), e.options().File(), streams)
}
