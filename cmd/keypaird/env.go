package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"

	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/engine"
	"keypaird/cmd/keypaird/listener"
	"keypaird/cmd/keypaird/output"
	"keypaird/cmd/keypaird/preflight"
	"keypaird/cmd/keypaird/progress"
	"keypaird/cmd/keypaird/runner"
	"keypaird/renew/confine"
	"keypaird/renew/textfmt"
)

// An env is what a command runs with.
type env struct {
	getenv  func(string) string
	stdout  io.Writer // for results
	stderr  io.Writer // for everything else
	version string    // of keypaird

	config string        // -config
	runner <-chan error  // delivers once the runner was started; nil: this process starts programs itself
	flags  *flag.FlagSet // of the command, which adds its own
}

// setFlags makes flags with those that all commands have. usage is printed above
// them for -h.
func (e *env) setFlags(name, usage string) {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.StringVar(&e.config, "config", e.config, "the configuration `file`; default $KEYPAIRD_CONFIG, else /etc/keypaird/keypaird.toml")
	f.Usage = func() {
		fmt.Fprint(f.Output(), usage)
		f.PrintDefaults()
	}
	e.flags = f
}

// parseFlags reads args. The error is a usageError, or flag.ErrHelp when the help
// that -h asked for has been printed.
func (e *env) parseFlags(args []string) error {
	e.flags.SetOutput(io.Discard)
	switch err := e.flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		e.flags.SetOutput(e.stdout)
		e.flags.Usage()
		return err
	case err != nil:
		return &usageError{problem: err.Error()}
	}
	return nil
}

// parse reads the args of a command and returns the names behind its flags.
func (e *env) parse(args []string) (names []string, err error) {
	if err := e.parseFlags(args); err != nil {
		return nil, err
	}
	for _, name := range e.flags.Args() {
		if strings.HasPrefix(name, "-") {
			return nil, &usageError{problem: fmt.Sprintf("%s stands after a name: options go before names", name)}
		}
	}
	return e.flags.Args(), nil
}

// parseNone reads the args of a command that takes no names.
func (e *env) parseNone(args []string) error {
	names, err := e.parse(args)
	if err == nil && len(names) > 0 {
		return &usageError{problem: e.flags.Name() + " takes no names"}
	}
	return err
}

// print prints a result as text, or as JSON.
func (e *env) print(result interface{ WriteText(io.Writer) error }, asJSON bool) error {
	if asJSON {
		return e.printJSON(result)
	}
	var text strings.Builder
	if err := result.WriteText(&text); err != nil {
		return err
	}
	_, err := io.WriteString(e.stdout, textfmt.Printable(text.String()))
	return err
}

// finish prints what a command did and what failed, and returns how it ends: changed
// is how many targets it changed.
func (e *env) finish(result interface{ WriteText(io.Writer) error }, changed int, errs []error, asJSON bool) error {
	if err := e.print(result, asJSON); err != nil {
		return err
	}
	switch {
	case len(errs) > 0:
		report(e.stderr, errs...)
		return errReported
	case changed == 0:
		return errNothing
	}
	return nil
}

// printJSON prints a result for programs.
func (e *env) printJSON(v any) error {
	text, err := textfmt.JSON(v)
	if err != nil {
		return err
	}
	_, err = e.stdout.Write(text)
	return err
}

// progress returns the log of a command and, on a terminal, the display of its steps.
func (e *env) progress(verbose bool) (*progress.Display, *slog.Logger) {
	if verbose {
		return nil, output.Logger(e.stderr, slog.LevelDebug)
	}
	if show := progress.New(e.stderr, e.getenv("TERM")); show != nil {
		return show, output.Logger(show, slog.LevelWarn) // in place of the events of each step
	}
	return nil, output.Logger(e.stderr, slog.LevelInfo)
}

// load reads the configuration.
func (e *env) load() (*config.Config, error) {
	return config.Load(e.options())
}

// options are those of the configuration.
func (e *env) options() config.Options {
	return config.Options{Path: e.config, Getenv: e.getenv, HasProvider: preflight.HasProvider}
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
	o.UserAgent, o.Listener = e.userAgent(), &listener.Process{Log: o.Log}
	return engine.New(cfg, o)
}

func (e *env) userAgent() string { return "keypaird/" + e.version }

// startRunner has another process start the programs of this command. It is called
// before anything else, as the configuration can be read meanwhile.
func (e *env) startRunner() { e.runner = runner.Start(e.config) }

// loadWithRunner is load after startRunner.
func (e *env) loadWithRunner() (*config.Config, error) {
	e.startRunner()
	return e.load()
}

// begin makes an engine, and waits for other keypairds. The caller
// calls end.
func (e *env) begin(ctx context.Context, cfg *config.Config, o engine.Options) (w *engine.Engine, end func(), err error) {
	if e.runner != nil {
		if err := <-e.runner; err != nil {
			return nil, nil, err
		}
	}
	if w, err = e.engine(cfg, o); err != nil {
		return nil, nil, err
	}
	if e.runner != nil {
		var more []string
		if o.DryRun != "" {
			more = append(more, filepath.Dir(o.DryRun)) // where it is removed from
		}
		giveUpRights(cfg, o.Log, more...)
	}
	end, err = w.Begin(ctx, e.waiting)
	return w, end, err
}

// giveUpRights takes from this process all rights that the configuration does not need, but
// for writing to some more directories, and returns those that stay.
func giveUpRights(cfg *config.Config, log *slog.Logger, more ...string) *confine.Rights {
	k := runner.Rights(cfg)
	k.Write = append(k.Write, more...)
	if err := k.Confine(); err != nil {
		log.Warn("not fully confined", "err", err)
	}
	return &k
}

// waiting says what the command waits for.
func (e *env) waiting(holder string) {
	fmt.Fprintf(e.stderr, "keypaird: waiting for another keypaird: %s\n", holder)
}
