package main

import (
	"context"
	"keypaird/cmd/keypaird/cli"
	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/daemon"
	"keypaird/cmd/keypaird/engine"
	"keypaird/cmd/keypaird/listener"
	"keypaird/cmd/keypaird/node"
	"keypaird/cmd/keypaird/preflight"
	"keypaird/cmd/keypaird/runner"
	"keypaird/renew/rights"
	"keypaird/renew/status"
	"path/filepath"
)

// An env is what a command runs with.
type env struct {
	cli.Env
	version string // of keypaird
	alone   bool   // issue orders without the engine of the fleet
}

// load reads the configuration.
func (e *env) load() (*config.Config, error) {
	return config.Load(e.options())
}

// options are those of the configuration.
func (e *env) options() config.Options {
	return config.Options{Path: e.Config, Getenv: e.Getenv, HasProvider: preflight.HasProvider}
}

// loadWithoutSecrets reads the configuration for a command that orders nothing: it
// works while files that only issuing needs cannot be read.
func (e *env) loadWithoutSecrets() (*config.Config, error) {
	o := e.options()
	o.NoSecrets = true
	return config.Load(o)
}

// engine makes the parts that a configuration describes.
func (e *env) engine(cfg *config.Config, o engine.Options) (*engine.Engine, error) {
	o.Listener = &listener.Process{Log: o.Log}
	role := node.Command
	switch {
	case e.alone:
		role = node.Alone
	case daemonRuns(cfg):
		role = node.Observer
	}
	return e.newEngine(cfg, o, role)
}

// daemonRuns reports whether the daemon runs, as far as is known.
func daemonRuns(cfg *config.Config) bool {
	d := daemon.StateOf(cfg.State)
	return d == nil || d.State == status.Running
}

// newEngine makes the parts, of a machine that may be a node of a fleet.
func (e *env) newEngine(cfg *config.Config, o engine.Options, role node.Role) (*engine.Engine, error) {
	if o.UserAgent = e.userAgent(); cfg.InFleet() {
		n, err := node.Join(cfg, e.version, role, o.Log)
		if err != nil {
			return nil, err
		}
		o.Shared = n.Shared()
	}
	return engine.New(cfg, o)
}

func (e *env) userAgent() string { return "keypaird/" + e.version }

// begin makes an engine, and waits for other keypairds. The caller
// calls end.
func (e *env) begin(ctx context.Context, cfg *config.Config, o engine.Options) (w *engine.Engine, end func(), err error) {
	if w, err = e.confined(cfg, o); err != nil {
		return nil, nil, err
	}
	end, err = w.Begin(ctx, e.Waiting)
	return w, end, err
}

// confined makes an engine. Before this process uses the network, or starts a program, it
// starts its runner and gives up the rights that the configuration does not need.
func (e *env) confined(cfg *config.Config, o engine.Options) (*engine.Engine, error) {
	w, err := e.engine(cfg, o)
	if err != nil {
		return nil, err
	}
	rights.Keep(func() error {
		if err := runner.Start(e.Config); err != nil {
			return err
		}
		var more []string
		if o.DryRun != "" {
			more = append(more, filepath.Dir(o.DryRun)) // where it is removed from
		}
		engine.GiveUp(cfg, o.Log, more...)
		return nil
	})
	return w, nil
}

// open is begin for a command that may only show something: then it waits for nobody.
func (e *env) open(ctx context.Context, cfg *config.Config, o engine.Options, changes bool) (*engine.Engine, func(), error) {
	if changes {
		return e.begin(ctx, cfg, o)
	}
	w, err := e.confined(cfg, o)
	if err != nil {
		return nil, nil, err
	}
	return w, w.Close, nil
}
