package main

import (
	"context"
	"fmt"
	"slices"

	"keypaird/hooks/preset"
)

// deployCommand lists the presets, or those named. It needs no configuration.
func deployCommand(_ context.Context, e *env, args []string) error {
	list := e.flags.Bool("list", false, "list the presets, or those named")
	asJSON := e.flags.Bool("json", false, "print as JSON")
	names, err := e.parse(args)
	if err != nil {
		return err
	}
	if !*list {
		return &usageError{problem: "deploy only lists presets: keypaird deploy -list; to deploy, keypaird issue"}
	}
	for _, name := range names {
		if !slices.Contains(preset.Names(), name) {
			return &usageError{problem: fmt.Sprintf("there is no preset %q: keypaird deploy -list", name)}
		}
	}
	return e.print(preset.Describe(names...), *asJSON)
}
