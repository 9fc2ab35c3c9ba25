package main

import (
	"cmp"
	"context"
	"os"

	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/initial"
)

// initCommand writes a first configuration: what it needs is asked at a terminal, or
// said by flags.
func initCommand(ctx context.Context, e *env, args []string) error {
	o := initial.Flags(e.flags)
	domains, err := e.parse(args)
	if err != nil {
		return err
	}
	if len(domains) > 1 {
		return &usageError{problem: "init takes one domain, after the options"}
	}
	path := cmp.Or(e.config, e.getenv(config.PathVariable), config.DefaultPath)
	return initial.Run(ctx, o, cmp.Or(append(domains, "")...), path, initial.Streams{
		Getenv: e.getenv, In: os.Stdin, Out: e.stdout, Err: e.stderr,
	})
}
