package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"

	"keypaird/cmd/keypaird/output"
	"keypaird/cmd/keypaird/progress"
	"keypaird/renew"
	"keypaird/renew/textfmt"
)

// An Env contains the streams, flags and options of a command.
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
		var help strings.Builder
		e.Flags.SetOutput(&help)
		e.Flags.Usage()
		_ = e.print(usage(help.String()), e.Style())
		return err
	case err != nil:
		return Usage(e.mistake(err))
	}
	return nil
}

// options finds the names of options in what package flag prints of them.
var options = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?m)^  -(\S+)`) })

// mistake says what is wrong with an option, and which one was probably meant by one that
// there is not. Errors of package flag have no types.
func (e *Env) mistake(err error) string {
	name, unknown := strings.CutPrefix(err.Error(), "flag provided but not defined: -")
	if option, lacks := strings.CutPrefix(err.Error(), "flag needs an argument: "); lacks {
		return "option " + option + " needs a value"
	}
	if !unknown {
		return err.Error()
	}
	var help strings.Builder
	e.Flags.SetOutput(&help)
	e.Flags.PrintDefaults()
	var known []string
	for _, option := range options().FindAllStringSubmatch(help.String(), -1) {
		known = append(known, option[1])
	}
	text := "no option -" + name
	if near := textfmt.Nearest(name, known); near != "" {
		text += ", did you mean -" + near + "?"
	}
	return text
}

// usage returns the help that package flag makes, with its tabs as spaces.
func usage(help string) string {
	return strings.NewReplacer("\n    \t", "\n        ", "\t", "    ").Replace(help)
}

// Style returns how results are set.
func (e *Env) Style() textfmt.Style { return output.Style(e.Stdout, e.Getenv) }

// print prints text as a result.
func (e *Env) print(text string, style textfmt.Style) error {
	_, err := io.WriteString(e.Stdout, style.Set(text))
	return err
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
	style := e.Style()
	if fits, ok := result.(interface{ WriteWidth(io.Writer, int) error }); ok && style.Width > 0 {
		if err := fits.WriteWidth(&text, style.Width); err != nil {
			return err
		}
		style.Width = 0
	} else if err := result.WriteText(&text); err != nil {
		return err
	}
	return e.print(text.String(), style)
}

// Finish prints what a command did and what failed, and returns how it ends: changed
// is how many targets it changed. A person at a terminal gets one table of both.
func (e *Env) Finish(result interface{ WriteText(io.Writer) error }, changed int, errs []error, asJSON bool) error {
	var err error
	unshown := errs
	table, ok := result.(interface{ Table() string })
	if ok = ok && !asJSON && e.Style().Width > 0; ok {
		err = e.print(table.Table(), e.Style())
		if output.Style(e.Stderr, e.Getenv).Width > 0 { // else they are kept there
			unshown = slices.DeleteFunc(slices.Clone(errs), func(err error) bool {
				_, shown := errors.AsType[*renew.TargetError](err)
				return shown
			})
		}
	} else {
		err = e.Print(result, asJSON)
	}
	switch {
	case err != nil:
		return err
	case len(errs) > 0:
		Report(e.Stderr, unshown...)
		return ErrReported
	case changed == 0 && ok:
		_ = e.print("nothing to do\n", e.Style())
	}
	if changed == 0 {
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

// Progress returns the log of a command and the display of its steps, which is shown at a
// terminal. Only a verbose command logs what it does.
func (e *Env) Progress(verbose bool) (*progress.Display, *slog.Logger) {
	if verbose {
		return progress.Hidden(e.Stderr), output.Logger(e.Stderr, slog.LevelDebug)
	}
	show := progress.New(e.Stderr, e.Getenv("TERM"))
	return show, output.Plain(show, output.Style(e.Stderr, e.Getenv))
}

// Waiting says what the command waits for.
func (e *Env) Waiting(holder string) {
	fmt.Fprintf(e.Stderr, "keypaird: waiting for another keypaird: %s\n", holder)
}
