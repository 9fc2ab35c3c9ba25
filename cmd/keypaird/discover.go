package main

import (
	"context"

	"keypaird/cmd/keypaird/names"
)

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
