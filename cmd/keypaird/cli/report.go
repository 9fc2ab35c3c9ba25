package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/output"
	"keypaird/renew"
	"keypaird/renew/textfmt"
)

// The rules of what keypaird prints:
//
//   - Results go to standard output, everything else to standard error.
//   - An error is one line, "keypaird: " first, no capital and no full stop;
//     a line "keypaird: remedy: " under it says what to do.
//   - Standard output is for people unless -json is given.

// Exit statuses, as of acme-client(1).
const (
	Changed = 0
	Failed  = 1
	Nothing = 2 // issue, deploy, forget: nothing to do
)

var (
	ErrReported = errors.New("failed") // what failed has been printed
	ErrNothing  = errors.New("nothing to do")
)

// A UsageError reports a wrong command line. The usage is printed below it.
type UsageError struct {
	Problem string
	Lines   string // how the command is used
}

// Usage returns the error for a wrong command line.
func Usage(problem string) error { return &UsageError{Problem: problem} }

func (e *UsageError) Error() string { return e.Problem }

// ExitStatus prints err and returns the exit status of the process.
func ExitStatus(stderr io.Writer, err error) int {
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return Changed
	case errors.Is(err, ErrNothing):
		return Nothing
	case !errors.Is(err, ErrReported):
		Report(stderr, err)
	}
	return Failed
}

// Report prints errors, each with its remedy or usage.
func Report(w io.Writer, errs ...error) {
	for _, err := range errs {
		mistakes, mistaken := errors.AsType[config.Mistakes](err)
		misuse, misused := errors.AsType[*UsageError](err)
		switch {
		case mistaken:
			for _, m := range mistakes {
				printError(w, m.String())
				PrintRemedy(w, m.Remedy)
			}
		case errors.Is(err, context.Canceled):
			fmt.Fprintln(w, "keypaird: interrupted; the next run resumes unfinished work")
		case misused:
			printError(w, err.Error())
			io.WriteString(w, styleOf(w).Set(usage(misuse.Lines)))
		default:
			printError(w, err.Error())
			PrintRemedy(w, renew.Remedy(err))
		}
	}
}

// Warn prints a warning and what can be done about it.
func (e *Env) Warn(message, remedy string) {
	printError(e.Stderr, message)
	PrintRemedy(e.Stderr, remedy)
}

// Hint says what to do next.
func (e *Env) Hint(text string) { printError(e.Stderr, text) }

// styleOf returns how what is printed beside results is set.
func styleOf(w io.Writer) textfmt.Style { return output.Style(w, os.Getenv) }

func printError(w io.Writer, text string) {
	style := styleOf(w)
	line := style.Set("keypaird: " + text + "\n")
	if rest, ok := strings.CutPrefix(line, "keypaird: "); ok {
		line = style.Alert("keypaird:") + " " + rest
	}
	io.WriteString(w, line)
}

// PrintRemedy prints what can be done.
func PrintRemedy(w io.Writer, remedy string) {
	for line := range strings.Lines(remedy) {
		io.WriteString(w, styleOf(w).Set("keypaird: remedy: "+strings.TrimRight(line, "\n")+"\n"))
	}
}
