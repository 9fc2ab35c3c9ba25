package child

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"keypaird/renew/launch"
	"keypaird/renew/textfmt"
)

// Main runs the program with the files of the process, and returns its exit status.
func Main(args []string) int {
	// An interrupt of the terminal is for keypaird, which closes the input. Leases are
	// ended even if nobody reads the answers.
	signal.Ignore(os.Interrupt, syscall.SIGPIPE)
	// The C library's resolver loads libraries and asks daemons.
	net.DefaultResolver.PreferGo = true
	debug.SetGCPercent(50)
	debug.SetMemoryLimit(48 << 20) // to which large values may bring it, not what it has as a rule
	flags := flag.NewFlagSet("keypaird-fleet", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "keypaird-fleet is started by keypaird, if it has a table [fleet]")
	}
	confined := flags.String("confined", "", "")
	if flags.Parse(args) != nil || flags.NArg() > 0 {
		return 2
	}
	if err := run(*confined, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "keypaird-fleet: %s\n", textfmt.OneLine(err.Error(), 500))
		return 1
	}
	return 0
}

// run serves until the end of the input. On Linux keypaird has confined this process
// before it began.
func run(means string, in io.Reader, out io.Writer) (err error) {
	if err := launch.NoCoreDumps(); err != nil {
		return fmt.Errorf("cannot confine itself: %w", err)
	}
	if means == "" {
		if means, err = launch.Process(launch.Keep{Read: launch.Named(os.Environ(), "")}); err != nil {
			return fmt.Errorf("cannot confine itself: %w", err)
		}
	}
	return serve(context.Background(), means, in, out)
}
