package main

import (
	"context"
	"time"

	"keypaird/cmd/keypaird/daemon"
	"keypaird/cmd/keypaird/engine"
	"keypaird/cmd/keypaird/output"
	"keypaird/renew/launch"
	"keypaird/renew/status"
)

// statusCommand shows the state of targets. It needs no daemon and changes
// nothing.
func statusCommand(ctx context.Context, e *env, args []string) error {
	asJSON := e.Flags.Bool("json", false, "print the status document as JSON; with -fleet, its part about the fleet")
	fleet := e.Flags.Bool("fleet", false, "show the fleet: its nodes, and how far each release has come")
	names, err := e.Parse(args)
	if err != nil {
		return err
	}
	if *fleet {
		c := e.fleet()
		c.JSON = *asJSON
		return c.Run(ctx, e.options(), append([]string{"status"}, names...))
	}
	cfg, err := e.loadWithoutSecrets()
	if err != nil {
		return err
	}
	if err := launch.BecomeOwner(cfg.State); err != nil {
		return err
	}
	eng, err := e.engine(cfg, engine.Options{Log: output.Logger(e.Stderr, output.Quiet)})
	if err != nil {
		return err
	}
	defer eng.Close()
	targets, err := eng.Find(names)
	if err != nil {
		return err
	}
	doc, err := status.Collect(eng.Status(targets, nil), time.Now())
	if err != nil {
		return err
	}
	if len(names) > 0 {
		doc.Unconfigured = nil
	}
	doc.Daemon = daemon.StateOf(cfg.State)
	return e.Print(doc, *asJSON)
}
