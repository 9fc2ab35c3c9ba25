package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/daemon"
	"keypaird/cmd/keypaird/runner"
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
	statusChanged = 0
	statusFailed  = 1
	statusNothing = 2 // issue, deploy, forget: nothing to do
)

var (
	errReported = errors.New("failed") // what failed has been printed
	errNothing  = errors.New("nothing to do")
)

// A usageError reports a wrong command line. The usage is printed below it.
type usageError struct{ problem, usage string }

func (e *usageError) Error() string { return e.problem }

// exitStatus prints err and returns the exit status of the process.
func exitStatus(stderr io.Writer, err error) int {
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return statusChanged
	case errors.Is(err, errNothing):
		return statusNothing
	case errors.Is(err, daemon.ErrAgain):
		return runner.Again
	case !errors.Is(err, errReported):
		report(stderr, err)
	}
	return statusFailed
}

// report prints errors, each with its remedy or usage.
func report(w io.Writer, errs ...error) {
	for _, err := range errs {
		mistakes, mistaken := errors.AsType[config.Mistakes](err)
		misuse, misused := errors.AsType[*usageError](err)
		switch {
		case mistaken:
			for _, m := range mistakes {
				printError(w, m.String())
				printRemedy(w, m.Remedy)
			}
		case errors.Is(err, context.Canceled):
			fmt.Fprintln(w, "keypaird: interrupted; what was begun is resumed by the next run")
		case misused:
			printError(w, err.Error())
			io.WriteString(w, misuse.usage)
		default:
			printError(w, err.Error())
			printRemedy(w, renew.Remedy(err))
		}
	}
}

// warn prints a warning and what can be done about it.
func (e *env) warn(message, remedy string) {
	printError(e.stderr, message)
	printRemedy(e.stderr, remedy)
}

func printError(w io.Writer, text string) {
	fmt.Fprintf(w, "keypaird: %s\n", textfmt.Printable(text))
}

func printRemedy(w io.Writer, remedy string) {
	for line := range strings.Lines(remedy) {
		fmt.Fprintf(w, "keypaird: remedy: %s\n", textfmt.Printable(strings.TrimRight(line, "\n")))
	}
}
