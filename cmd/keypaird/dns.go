package main

import (
	"context"
	"strings"

	"keypaird/cmd/keypaird/cli"
	"keypaird/cmd/keypaird/preflight"
)

// dnsCommand lists lego's providers, or describes the variables of one. Only
// keypaird-dns knows them.
func dnsCommand(ctx context.Context, e *env, args []string) error {
	asJSON := e.Flags.Bool("json", false, "print as JSON")
	names, err := e.Parse(args)
	if err != nil {
		return err
	}
	if len(names) > 1 {
		return cli.Usage("dns takes one provider")
	}
	remedy, err := preflight.ShowProviders(ctx, strings.Join(names, ""), *asJSON, e.Stdout, e.Stderr)
	if remedy != "" { // the rest has been printed
		cli.PrintRemedy(e.Stderr, remedy)
		return cli.ErrReported
	}
	return err
}
