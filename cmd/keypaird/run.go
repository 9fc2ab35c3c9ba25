package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"keypaird/acme"
	"keypaird/acme/responder"
	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/daemon"
	"keypaird/cmd/keypaird/engine"
	"keypaird/cmd/keypaird/listener"
	"keypaird/cmd/keypaird/node"
	"keypaird/cmd/keypaird/output"
	"keypaird/cmd/keypaird/runner"
	"keypaird/renew/process"
	"keypaird/renew/rights"
	"keypaird/renew/status"
)

// runCommand starts the daemon's engine, and whatever programs that needs.
func runCommand(ctx context.Context, e *env, args []string) error {
	verbose, err := e.parseRun(args)
	if err != nil {
		return err
	}
	d := runner.Daemon{Args: []string{runner.Engine}, Sockets: responder.Passed(), Load: e.loadWithoutSecrets, Notify: daemon.Notify}
	if e.Config != "" {
		d.Args = []string{"-config", e.Config, runner.Engine}
	}
	if verbose {
		d.Args = append(d.Args, "-v")
	}
	status, err := d.Supervise(ctx)
	if err == nil && status != 0 {
		os.Exit(status) // the engine has reported why
	}
	return err
}

// runnerCommand starts programs for another keypaird.
func runnerCommand(_ context.Context, e *env, args []string) error {
	if _, err := e.Parse(args); err != nil {
		return err
	}
	return runner.Serve(e.loadWithoutSecrets)
}

// parseRun parses the arguments of run.
func (e *env) parseRun(args []string) (verbose bool, err error) {
	f := e.Flags.Bool("v", false, "log every step")
	err = e.ParseNone(args)
	return *f, err
}

// engineCommand runs the daemon until it is stopped.
func engineCommand(ctx context.Context, e *env, args []string) error {
	verbose, err := e.parseRun(args)
	if err != nil {
		return err
	}
	conn, err := runner.Connect()
	if err != nil {
		return err
	}
	level := slog.LevelInfo
	if verbose {
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
	if out, ok := e.Stderr.(*output.Writer); ok {
		out.Drop()
	}
	log := slog.New(slog.NewTextHandler(e.Stderr, &slog.HandlerOptions{Level: level}))
	if daemon.Journaled(output.File(e.Stderr), e.Getenv("JOURNAL_STREAM")) {
		log = output.Logger(e.Stderr, level)
	}
	if err := conn.Ready(); err != nil {
		return err
	}
	return newDaemon(e, log, conn).Run(ctx, signals)
}

// newDaemon makes the daemon of a process that has a runner, or has none and all rights.
func newDaemon(e *env, log *slog.Logger, conn *process.Runner) *daemon.Daemon {
	metrics := status.NewMetrics(e.version)
	hears := &listener.Process{Log: log}
	observe := func(x acme.Exchange) { metrics.Request(x.CA, x.Resource, x.Status, x.Took) }
	o := daemon.Options{
		Load: e.load,
		Engine: func(cfg *config.Config) (*engine.Engine, error) {
			return e.newEngine(cfg, engine.Options{Log: log, Observe: observe, Listener: hears}, node.Daemon)
		},
		Notify: daemon.Notify, Metrics: metrics, Listener: hears, Log: log,
	}
	if conn != nil {
		o.Notify = conn.Notify
		rights.Keep(func() error { return errors.New("sockets are opened after the configuration was read") })
		var covers func(*config.Config) bool // once rights were given up
		parts := o.Engine
		o.Engine = func(cfg *config.Config) (*engine.Engine, error) {
			if covers == nil { // before the status page listens
				rights.Keep(func() error {
					k := engine.GiveUp(cfg, log)
					covers = func(other *config.Config) bool { return k.Covers(engine.Rights(other)) }
					return nil
				})
			}
			return parts(cfg)
		}
		o.Confine = func(*config.Config) func(*config.Config) bool {
			_ = rights.Drop() // it does not fail
			return covers
		}
	}
	return daemon.New(o)
}
