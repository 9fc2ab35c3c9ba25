package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/daemon"
	"keypaird/cmd/keypaird/engine"
	"keypaird/renew/status"
)

// run keeps every target alive until it is told to end.
func (a *app) run(ctx context.Context, args []string) error {
	flags := a.flags("run")
	verbose := flags.Bool("v", false, "log every step")
	if err := parse(flags, args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return &UsageError{"run takes no names"}
	}
	level := slog.LevelInfo
	if *verbose {
		level = slog.LevelDebug
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGUSR1)
	defer signal.Stop(signals)
	// Whoever reads our log may go away. That must end neither us nor, as an
	// ignored signal would, the habits of the programs we start.
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE)
	defer signal.Stop(broken)
	a.metrics = status.NewMetrics(programVersion().Version)
	log := a.daemonLogger(level)
	return daemon.New(a.daemonOptions(log)).Run(ctx, signals)
}

// daemonOptions are those of a daemon that this run of the program is.
func (a *app) daemonOptions(log *slog.Logger) daemon.Options {
	return daemon.Options{
		Load:    a.load,
		Engine:  func(cfg *config.Config) (*engine.Engine, error) { return a.engine(cfg, log) },
		Metrics: a.metrics, Log: log,
	}
}

// daemonLogger logs with the time, unless the journal reads us and notes it.
func (a *app) daemonLogger(level slog.Level) *slog.Logger {
	if daemon.Journaled(a.stderr, a.env("JOURNAL_STREAM")) {
		return a.logger(level)
	}
	return slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: level}))
}
