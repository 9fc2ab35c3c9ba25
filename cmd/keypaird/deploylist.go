package main

import (
	"context"
	"fmt"
	"slices"

	"keypaird/hooks/preset"
)

// deploy lists the presets, or those named. It needs no configuration.
func (a *app) deploy(_ context.Context, args []string) error {
	flags := a.flags("deploy")
	list := flags.Bool("list", false, "list the presets, or those named")
	asJSON := flags.Bool("json", false, "print as JSON")
	if err := parse(flags, args); err != nil {
		return err
	}
	if !*list {
		return &UsageError{"deploy only lists presets: keypaird deploy -list; to deploy, keypaird issue"}
	}
	for _, name := range flags.Args() {
		if !slices.Contains(preset.Names(), name) {
			return &UsageError{fmt.Sprintf("there is no preset %q: keypaird deploy -list", name)}
		}
	}
	return a.printResult(preset.Describe(flags.Args()...), *asJSON, nil)
}
