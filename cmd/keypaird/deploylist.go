package main

import (
	"context"
	"fmt"
	"slices"

	"keypaird/hooks/preset"
)

// deployCommand lists the presets, or those named, which needs no configuration; or
// it writes stand-ins for targets.
func deployCommand(ctx context.Context, e *env, args []string) error {
	list := e.flags.Bool("list", false, "list the presets, or those named")
	standIn := e.flags.Bool("stand-in", false, "write self-signed pairs where files are missing, for servers that do not start without")
	asJSON := e.flags.Bool("json", false, "print as JSON")
	names, err := e.parse(args)
	if err != nil {
		return err
	}
	switch {
	case *list == *standIn:
		return &usageError{problem: "deploy needs -list, for the presets, or -stand-in; to deploy, keypaird issue"}
	case *standIn:
		return deployStandIns(ctx, e, names, *asJSON)
	}
	for _, name := range names {
		if !slices.Contains(preset.Names(), name) {
			return &usageError{problem: fmt.Sprintf("there is no preset %q: keypaird deploy -list", name)}
		}
	}
	return e.print(preset.Describe(names...), *asJSON)
}
