package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"keypaird/acme"
	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/daemon"
	"keypaird/cmd/keypaird/engine"
	"keypaird/cmd/keypaird/listener"
	"keypaird/cmd/keypaird/output"
	"keypaird/renew/status"
)

// runCommand runs the daemon until it is stopped.
func runCommand(ctx context.Context, e *env, args []string) error {
	verbose := e.flags.Bool("v", false, "log every step")
	names, err := e.parse(args)
	if err != nil {
		return err
	}
	if len(names) > 0 {
		return &usageError{problem: "run takes no names"}
	}
	level := slog.LevelInfo
	if *verbose {
		level = slog.LevelDebug
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGUSR1)
	defer signal.Stop(signals)
	// The reader of our log may go away. That must not end the daemon, nor must it
	// change, as an ignored signal would, how the programs that it starts behave.
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE)
	defer signal.Stop(broken)
	if out, ok := e.stderr.(*output.Writer); ok {
		out.Drop()
	}
	log := slog.New(slog.NewTextHandler(e.stderr, &slog.HandlerOptions{Level: level}))
	if daemon.Journaled(output.File(e.stderr), e.getenv("JOURNAL_STREAM")) {
		log = output.Logger(e.stderr, level)
	}
	return newDaemon(e, log).Run(ctx, signals)
}

func newDaemon(e *env, log *slog.Logger) *daemon.Daemon {
	metrics := status.NewMetrics(e.version)
	hears := &listener.Process{Log: log}
	observe := func(x acme.Exchange) { metrics.Request(x.CA, x.Resource, x.Status, x.Took) }
	return daemon.New(daemon.Options{
		Load: e.load,
		Engine: func(cfg *config.Config) (*engine.Engine, error) {
			return engine.New(cfg, engine.Options{Log: log, UserAgent: e.userAgent(), Observe: observe, Listener: hears})
		},
		Metrics: metrics, Listener: hears, Log: log,
	})
}
