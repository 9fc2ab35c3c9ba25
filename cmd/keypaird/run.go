package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"keypaird/acme/responder"
	"keypaird/cmd/keypaird/daemon"
	"keypaird/cmd/keypaird/output"
	"keypaird/cmd/keypaird/runner"
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
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGUSR1)
	defer signal.Stop(signals)
	defer output.KeepOn(e.Stderr)()
	log := daemon.NewLog(e.Stderr, e.Getenv("JOURNAL_STREAM"), verbose)
	if err := conn.Ready(); err != nil {
		return err
	}
	return daemon.New(daemon.Options{Config: e.options(), Log: log, Runner: conn}).Run(ctx, signals)
}
