package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"

	"keypaird/acme/dns01"
	"keypaird/cmd/keypaird/preflight"
)

// dns lists lego's providers, or tells the variables of one. Only the child
// knows them.
func (a *app) dns(ctx context.Context, args []string) error {
	flags := a.flags("dns")
	asJSON := flags.Bool("json", false, "print as JSON")
	if err := parse(flags, args); err != nil {
		return err
	}
	if flags.NArg() > 1 {
		return &UsageError{"dns takes one provider"}
	}
	child, err := dns01.FindChild()
	if err != nil {
		return err
	}
	argv := []string{"-list"}
	if flags.NArg() == 1 {
		argv = []string{"-describe", flags.Arg(0)}
	}
	if *asJSON {
		argv = append([]string{"-json"}, argv...)
	}
	cmd := preflight.AskChild(ctx, child, argv...)
	cmd.Stdout, cmd.Stderr = a.stdout, a.stderr
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			printRemedy(a.stderr, preflight.ProviderRemedy(ctx, child, flags.Arg(0)))
			return errSaid // by the child, on standard error
		}
		return fmt.Errorf("running %s: %w", child, err)
	}
	return nil
}
