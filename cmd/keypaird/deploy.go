package main

import (
	"context"

	"keypaird/cmd/keypaird/cli"
	"keypaird/hooks/preset"
	"keypaird/renew"
	"keypaird/renew/rights"
	"keypaird/renew/status"
)

// deployCommand deploys again what is stored. With options it lists the presets, or
// those named, which needs no configuration; or it writes stand-ins for targets.
func deployCommand(ctx context.Context, e *env, args []string) error {
	list := e.Flags.Bool("list", false, "list the presets, or those named; nothing is deployed")
	standIn := e.Flags.Bool("stand-in", false, "write self-signed pairs where files are missing, for servers that do not start without; nothing else is deployed")
	asJSON := e.Flags.Bool("json", false, "print what was done as JSON")
	verbose := e.Flags.Bool("v", false, "log every step")
	names, err := e.Parse(args)
	switch {
	case err != nil:
		return err
	case *list && *standIn:
		return cli.Usage("-list and -stand-in exclude each other")
	case *list:
		found, err := preset.Describe(names...)
		if err != nil {
			return err
		}
		return e.Print(found, *asJSON)
	}
	show, log := e.Progress(*verbose)
	eng, end, err := e.begin(ctx, e.loadWithoutSecrets, log)
	if err != nil {
		return err
	}
	defer end()
	targets, err := eng.Find(names)
	if err == nil {
		err = rights.Drop() // there is something to do
	}
	if err != nil {
		return err
	}
	if *standIn {
		written, errs := eng.WriteStandIns(ctx, targets, func(string) bool { return true })
		return e.Finish(written, len(written), errs, *asJSON)
	}
	pass := eng.Pass(renew.Redeploy)
	pass.Step, pass.Records = show.Step, new(renew.Records)
	var did renew.Report
	show.Run(func() {
		eng.CopyRenamed(targets, pass.Records)
		did = pass.Run(ctx, targets)
	})
	return e.Finish(status.ResultsOf(did.Done, did.Errs, show.Took), len(did.Done), did.Errs, *asJSON)
}
