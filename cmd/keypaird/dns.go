package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"

	"keypaird/acme/dns01"
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
	cmd := exec.CommandContext(ctx, child, argv...)
	cmd.Env = []string{} // it needs no secrets to say this
	cmd.Stdout, cmd.Stderr = a.stdout, a.stderr
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return errSaid // by the child, on standard error
		}
		return fmt.Errorf("running %s: %w", child, err)
	}
	return nil
}
