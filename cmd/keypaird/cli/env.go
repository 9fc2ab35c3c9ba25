package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"keypaird/cmd/keypaird/output"
	"keypaird/cmd/keypaird/progress"
	"keypaird/renew/textfmt"
	"log/slog"
	"strings"
)

// An Env is what a command runs with.
type Env struct {
	Getenv func(string) string
	Stdout io.Writer // for results
	Stderr io.Writer // for everything else

	Config string        // -config
	Flags  *flag.FlagSet // of the command, which adds its own
}

// SetFlags makes flags with those that all commands have. usage is printed above
// them for -h.
func (e *Env) SetFlags(name, usage string) {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.StringVar(&e.Config, "config", e.Config, "the configuration `file`; default $KEYPAIRD_CONFIG, else /etc/keypaird/keypaird.toml")
	f.Usage = func() {
		fmt.Fprint(f.Output(), usage)
		f.PrintDefaults()
	}
	e.Flags = f
}

// ParseFlags reads args. The error is a UsageError, or flag.ErrHelp when the help
// that -h asked for has been printed.
func (e *Env) ParseFlags(args []string) error {
	e.Flags.SetOutput(io.Discard)
	switch err := e.Flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		e.Flags.SetOutput(e.Stdout)
		e.Flags.Usage()
		return err
	case err != nil:
		return Usage(err.Error())
	}
	return nil
}

// Parse reads the args of a command and returns the names behind its flags.
func (e *Env) Parse(args []string) (names []string, err error) {
	if err := e.ParseFlags(args); err != nil {
		return nil, err
	}
	for _, name := range e.Flags.Args() {
		if strings.HasPrefix(name, "-") {
			return nil, Usage(fmt.Sprintf("%s stands after a name: options go before names", name))
		}
	}
	return e.Flags.Args(), nil
}

// ParseNone reads the args of a command that takes no names.
func (e *Env) ParseNone(args []string) error {
	names, err := e.Parse(args)
	if err == nil && len(names) > 0 {
		return Usage(e.Flags.Name() + " takes no names")
	}
	return err
}

// Print prints a result as text, or as JSON.
func (e *Env) Print(result interface{ WriteText(io.Writer) error }, asJSON bool) error {
	if asJSON {
		return e.PrintJSON(result)
	}
	var text strings.Builder
	if err := result.WriteText(&text); err != nil {
		return err
	}
	_, err := io.WriteString(e.Stdout, textfmt.Printable(text.String()))
	return err
}

// Finish prints what a command did and what failed, and returns how it ends: changed
// is how many targets it changed.
func (e *Env) Finish(result interface{ WriteText(io.Writer) error }, changed int, errs []error, asJSON bool) error {
	if err := e.Print(result, asJSON); err != nil {
		return err
	}
	switch {
	case len(errs) > 0:
		Report(e.Stderr, errs...)
		return ErrReported
	case changed == 0:
		return ErrNothing
	}
	return nil
}

// PrintJSON prints a result for programs.
func (e *Env) PrintJSON(v any) error {
	text, err := textfmt.JSON(v)
	if err != nil {
		return err
	}
	_, err = e.Stdout.Write(text)
	return err
}

// Progress returns the log of a command and, on a terminal, the display of its steps.
func (e *Env) Progress(verbose bool) (*progress.Display, *slog.Logger) {
	if verbose {
		return nil, output.Logger(e.Stderr, slog.LevelDebug)
	}
	if show := progress.New(e.Stderr, e.Getenv("TERM")); show != nil {
		return show, output.Logger(show, slog.LevelWarn) // in place of the events of each step
	}
	return nil, output.Logger(e.Stderr, slog.LevelInfo)
}

// Waiting says what the command waits for.
func (e *Env) Waiting(holder string) {
	fmt.Fprintf(e.Stderr, "keypaird: waiting for another keypaird: %s\n", holder)
}
