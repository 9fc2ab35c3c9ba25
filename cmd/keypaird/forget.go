package main

import (
	"context"
	"fmt"

	"keypaird/cmd/keypaird/cli"
	"keypaird/cmd/keypaird/output"
)

// forgetCommand removes what is stored of targets that are no longer configured.
func forgetCommand(ctx context.Context, e *env, args []string) error {
	files := e.Flags.Bool("files", false, "remove the deployed files that still hold the pair, too; no server may use them any more")
	asJSON := e.Flags.Bool("json", false, "print what was removed as JSON")
	names, err := e.Parse(args)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return cli.Usage("forget needs the name of a target")
	}
	eng, end, err := e.begin(ctx, e.loadWithoutSecrets, output.Logger(e.Stderr, output.Quiet))
	if err != nil {
		return err
	}
	defer end()
	rows, err := eng.Forget(names, *files, func(name string) { e.Hint(fmt.Sprintf("nothing is stored of %q", name)) })
	if printed := e.Print(rows, *asJSON); err == nil {
		err = printed
	}
	if err == nil && len(rows) == 0 {
		return cli.ErrNothing
	}
	return err
}
