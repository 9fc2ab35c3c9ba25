package main

import (
	"context"
	"log/slog"

	"keypaird/cmd/keypaird/cli"
	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/daemon"
	"keypaird/cmd/keypaird/engine"
	"keypaird/cmd/keypaird/listener"
	"keypaird/cmd/keypaird/node"
	"keypaird/cmd/keypaird/preflight"
	"keypaird/cmd/keypaird/runner"
)

// An env is the environment of a command: a cli.Env and the functions that read the
// configuration.
type env struct {
	cli.Env
	alone  bool     // issue orders without the engine of the fleet
	writes []string // directories that a dry run writes to
	gaveUp bool     // confined has been called
}

// load reads the configuration.
func (e *env) load() (*config.Config, error) {
	return config.Load(e.options())
}

// options returns the options with which commands read the configuration.
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
	case daemon.Runs(cfg.State):
		role = node.Observer
	}
	return node.Engine(cfg, o, role)
}

// begin reads the configuration by load, makes an engine, and waits for other keypairds.
// The caller calls end.
func (e *env) begin(ctx context.Context, load func() (*config.Config, error), log *slog.Logger) (eng *engine.Engine, end func(), err error) {
	cfg, err := load()
	if err != nil {
		return nil, nil, err
	}
	if eng, err = e.confined(cfg, engine.Options{Log: log}); err != nil {
		return nil, nil, err
	}
	end, err = eng.Begin(ctx, e.Waiting)
	return eng, end, err
}

// confined makes an engine for a process that is about to give up rights.
func (e *env) confined(cfg *config.Config, o engine.Options) (*engine.Engine, error) {
	eng, err := e.engine(cfg, o)
	if err != nil {
		return nil, err
	}
	if !e.gaveUp {
		e.gaveUp = true
		runner.Confine(e.Config, cfg, o.Log, e.writes...)
	}
	return eng, nil
}
