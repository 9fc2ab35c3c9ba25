package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"keypaird/acme"
	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/engine"
	"keypaird/renew"
)

// The rules of what keypaird prints:
//
//   - Results go to standard output, everything else to standard error.
//   - An error is one line, "keypaird: " first, no capital and no full stop;
//     a line "keypaird: remedy: " under it says what to do.
//   - Standard output is for people unless -json is given.

// Exit statuses, as of acme-client(1).
const (
	statusChanged = 0
	statusFailed  = 1
	statusNothing = 2 // issue: nothing to do
)

// errSaid is a failure that has been printed already.
var errSaid = errors.New("failed")

// errNothing is the end of an issue that had nothing to do.
var errNothing = errors.New("nothing to do")

// A UsageError reports a command line that makes no sense. The usage is printed
// under it.
type UsageError struct{ Problem string }

func (e *UsageError) Error() string { return e.Problem }

// A slipError is a UsageError in the line of a command, whose usage alone is
// printed.
type slipError struct {
	command command
	error
}

func (e *slipError) Unwrap() error { return e.error }

// usage is what to type instead.
func (e *slipError) usage() string {
	return fmt.Sprintf("usage: keypaird %s %s\nkeypaird: more: keypaird %s -h\n", e.command.name, e.command.args, e.command.name)
}

// Errors are the failures of one command, printed one after another.
type Errors []error

func (e Errors) Error() string { return fmt.Sprintf("%d failures", len(e)) }

func (e Errors) Unwrap() []error { return e }

// exitStatus prints err and turns it into the status of the process.
func exitStatus(stderr io.Writer, err error) int {
	switch {
	case err == nil:
		return statusChanged
	case errors.Is(err, errNothing):
		return statusNothing
	case errors.Is(err, errSaid):
		return statusFailed
	}
	report(stderr, err)
	return statusFailed
}

// report prints an error and its remedy, or each of several.
func report(w io.Writer, err error) {
	var many Errors
	if errors.As(err, &many) {
		for _, err := range many {
			report(w, err)
		}
		return
	}
	var mistakes config.Mistakes
	if errors.As(err, &mistakes) {
		for _, m := range mistakes {
			fmt.Fprintf(w, "keypaird: %v\n", m)
			printRemedy(w, m.Remedy)
		}
		return
	}
	if errors.Is(err, context.Canceled) {
		fmt.Fprintln(w, "keypaird: interrupted; what was begun is resumed by the next run")
		return
	}
	fmt.Fprintf(w, "keypaird: %v\n", err)
	var slip *slipError
	if errors.As(err, &slip) {
		fmt.Fprint(w, slip.usage())
		return
	}
	var misused *UsageError
	if errors.As(err, &misused) {
		fmt.Fprint(w, usage())
		return
	}
	printRemedy(w, renew.Remedy(err))
}

func printRemedy(w io.Writer, remedy string) {
	for line := range strings.Lines(remedy) {
		fmt.Fprintf(w, "keypaird: remedy: %s\n", strings.TrimRight(line, "\n"))
	}
}

// flags returns the flags of a command, with those that all have.
func (a *app) flags(name string) *flag.FlagSet {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&a.config, "config", a.config, "the configuration `file`; default $KEYPAIRD_CONFIG, else /etc/keypaird/keypaird.toml")
	return f
}

// parse reads args. A mistake in them is a UsageError, -h a helpWanted.
func parse(f *flag.FlagSet, args []string) error {
	err := f.Parse(args)
	if err == nil {
		return nil
	}
	if errors.Is(err, flag.ErrHelp) {
		return &helpWanted{f}
	}
	return &UsageError{err.Error()}
}

// A helpWanted says that -h was given to the command whose flags these are.
type helpWanted struct{ flags *flag.FlagSet }

func (*helpWanted) Error() string { return "help was asked for" }

// print writes how the command is used, or what commands there are.
func (h *helpWanted) print(w io.Writer) {
	for _, c := range commands() {
		if c.name == h.flags.Name() {
			fmt.Fprintf(w, "usage: keypaird %s %s\n%s\n", c.name, c.args, c.does)
			h.flags.SetOutput(w)
			h.flags.PrintDefaults()
			return
		}
	}
	fmt.Fprint(w, usage())
}

func usage() string {
	var b strings.Builder
	b.WriteString("usage: keypaird [-config FILE] COMMAND, where COMMAND is one of\n")
	width := 0
	for _, c := range commands() {
		width = max(width, len(c.args))
	}
	for _, c := range commands() {
		fmt.Fprintf(&b, "  %-8s %-*s %s\n", c.name, width, c.args, c.does)
	}
	return b.String()
}

// printJSON prints a result for programs.
func (a *app) printJSON(v any) error {
	e := json.NewEncoder(a.stdout)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// logger logs events to standard error. One-shot commands leave out the time:
// whoever reads them knows it.
func (a *app) logger(level slog.Level) *slog.Logger { return logTo(a.stderr, level) }

func logTo(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{
		Level: level,
		ReplaceAttr: func(groups []string, attr slog.Attr) slog.Attr {
			if attr.Key == slog.TimeKey && len(groups) == 0 {
				return slog.Attr{}
			}
			return attr
		},
	}))
}

// levelQuiet is above every event: for commands that print results only.
const levelQuiet = slog.LevelError + 4

// load reads the configuration.
func (a *app) load() (*config.Config, error) {
	return config.Load(config.Options{Path: a.config, Getenv: a.env})
}

// engine makes the parts that a configuration describes.
func (a *app) engine(cfg *config.Config, log *slog.Logger) (*engine.Engine, error) {
	o := engine.Options{Log: log, UserAgent: "keypaird/" + programVersion().Version}
	if m := a.metrics; m != nil {
		o.Observe = func(x acme.Exchange) { m.Request(x.CA, x.Resource, x.Status, x.Took) }
	}
	return engine.New(cfg, o)
}
