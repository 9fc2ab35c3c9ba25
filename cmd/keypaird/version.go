package main

import (
	"context"

	"keypaird/cmd/keypaird/version"
)

// versionCommand prints the version of this program.
func versionCommand(_ context.Context, e *env, args []string) error {
	asJSON := e.flags.Bool("json", false, "print the version as JSON")
	if _, err := e.parse(args); err != nil {
		return err
	}
	return e.print(version.Program(), *asJSON)
}
