package main

import (
	"context"
	"slices"
	"time"

	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/daemon"
	"keypaird/renew"
	"keypaird/renew/status"
)

// status says how targets stand. It needs no daemon and changes nothing.
func (a *app) status(_ context.Context, args []string) error {
	flags := a.flags("status")
	asJSON := flags.Bool("json", false, "print the status document as JSON")
	if err := parse(flags, args); err != nil {
		return err
	}
	cfg, err := config.Load(config.Options{Path: a.config, Getenv: a.env, NoSecrets: true})
	if err != nil {
		return err
	}
	w, err := a.engine(cfg, a.logger(levelQuiet))
	if err != nil {
		return err
	}
	defer w.Close()
	names := normalNames(flags.Args())
	if err := known(w, names); err != nil {
		return err
	}
	targets := w.Targets
	if len(names) > 0 {
		targets = slices.DeleteFunc(slices.Clone(targets), func(t renew.Target) bool { return !slices.Contains(names, t.Name) })
	}
	doc, err := status.Collect(w.Status(targets, nil), time.Now())
	if err != nil {
		return err
	}
	doc.Daemon = daemon.StateOf(cfg.State)
	if *asJSON {
		return a.printJSON(doc)
	}
	return doc.WriteText(a.stdout)
}
