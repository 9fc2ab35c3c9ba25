package main

import (
	"context"
	"fmt"
	"strings"

	"keypaird/acme/dns01"
	"keypaird/cmd/keypaird/preflight"
)

// dnsCommand lists lego's providers, or describes the variables of one. Only
// keypaird-dns knows them.
func dnsCommand(ctx context.Context, e *env, args []string) error {
	asJSON := e.flags.Bool("json", false, "print as JSON")
	names, err := e.parse(args)
	if err != nil {
		return err
	}
	if len(names) > 1 {
		return &usageError{problem: "dns takes one provider"}
	}
	argv, provider := []string{"-list"}, strings.Join(names, "")
	if len(names) == 1 {
		argv = []string{"-describe", provider}
	}
	if *asJSON {
		argv = append([]string{"-json"}, argv...)
	}
	child, err := dns01.FindChild()
	if err != nil {
		return err
	}
	cmd, err := preflight.AskChild(ctx, child, argv...)
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = e.stdout, e.stderr
	err = cmd.Run()
	if cmd.ExitCode() > 0 { // it printed why
		printRemedy(e.stderr, preflight.ProviderRemedy(ctx, child, provider))
		return errReported
	}
	if err != nil {
		return fmt.Errorf("running %s: %w", child, err)
	}
	return nil
}
