package child

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"

	"keypaird/acme/dns01/need"

	"github.com/go-acme/lego/v4/challenge"
	legolog "github.com/go-acme/lego/v4/log"

	"keypaird/acme/dns01/redact"
	"keypaird/renew/launch"
	"keypaird/renew/textfmt"
)

// A Program is keypaird-dns with the providers that were built into it.
type Program struct {
	// Open makes a provider from the process environment. Required.
	Open func(code string) (challenge.Provider, error)
	// Codes of the providers Open knows. Empty means all of lego's.
	Codes []string
}

// Main runs the program with the process's files and signals and returns its
// exit status.
func (p Program) Main(args []string) int {
	in, out := os.Stdin, os.Stdout
	// Providers may print and read: not to or from the parent.
	os.Stdout = os.Stderr
	os.Stdin, _ = os.Open(os.DevNull)
	// A write to a parent that was killed must fail, not kill this process: it has
	// records to clean up.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	// The C library's resolver loads libraries and asks daemons.
	net.DefaultResolver.PreferGo = true
	err := p.run(ctx, args, in, out, os.Stderr, confineFor)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, flag.ErrHelp):
		return 2
	}
	fmt.Fprintf(os.Stderr, "keypaird-dns: %s\n", textfmt.OneLine(err.Error(), maxLogLine))
	return 1
}

// run runs the program. confine takes from the process the rights that a provider does
// not need, and returns by which means.
func (p Program) run(ctx context.Context, args []string, in io.Reader, out, errw io.Writer, confine func(code string) (string, error)) error {
	flags := flag.NewFlagSet("keypaird-dns", flag.ContinueOnError)
	flags.SetOutput(errw)
	list := flags.Bool("list", false, "list the providers that are built in, one a line")
	describe := flags.String("describe", "", "say which variables `PROVIDER` reads")
	asJSON := flags.Bool("json", false, "answer -list and -describe in JSON")
	confined := flags.String("confined", "", "do not confine the process: that was done, by `MEANS`")
	only := flags.String("for", "", "open no other `PROVIDER`, and keep the process from what that one does not need")
	if err := flags.Parse(args); err != nil {
		return flag.ErrHelp
	}
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case *list:
		return p.list(out, *asJSON)
	case *describe != "":
		return p.describe(out, *describe, *asJSON)
	}
	if err := launch.NoCoreDumps(); err != nil {
		return fmt.Errorf("cannot confine itself: %w", err)
	}
	confinement := *confined
	if confinement == "" {
		var err error
		if confinement, err = confine(need.Canonical(*only)); err != nil {
			return err
		}
	}
	launch.Rewind(os.Environ())
	l := &lineLog{w: errw, redactor: redact.Of(os.Environ())}
	legolog.Logger = l
	s := &server{open: p.provider, only: need.Canonical(*only), confinement: confinement, out: out, log: l, requestGrace: requestGrace, exitLimit: exitLimit}
	return s.serve(ctx, in)
}
