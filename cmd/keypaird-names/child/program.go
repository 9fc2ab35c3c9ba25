package child

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"

	"keypaird/cmd/keypaird-names/message"
	"keypaird/renew/launch"
	"keypaird/renew/problem"
	"keypaird/renew/textfmt"
)

// Main runs the program with the files of the process, and returns its exit status.
func Main(args []string) int {
	// An interrupt of the terminal is for keypaird, which ends this process.
	signal.Ignore(os.Interrupt)
	// The C library's resolver loads libraries and asks daemons.
	net.DefaultResolver.PreferGo = true
	flags := flag.NewFlagSet("keypaird-names", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "keypaird-names is started by keypaird discover, keypaird verify and keypaird check -live")
	}
	confined := flags.String("confined", "", "")
	if flags.Parse(args) != nil || flags.NArg() > 0 {
		return 2
	}
	if err := run(*confined != "", os.Stdin, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintf(os.Stderr, "keypaird-names: %s\n", textfmt.OneLine(err.Error(), 500))
		return 1
	}
	return 0
}

// run answers one request. On Linux keypaird has confined this process before it began.
func run(confined bool, in io.Reader, out, log io.Writer) error {
	if err := launch.NoCoreDumps(); err != nil {
		return fmt.Errorf("cannot confine itself: %w", err)
	}
	if !confined {
		if _, err := launch.Process(launch.Keep{Read: launch.Named(os.Environ(), "")}); err != nil {
			return fmt.Errorf("cannot confine itself: %w", err)
		}
	}
	var r message.Request
	requests := json.NewDecoder(io.LimitReader(in, message.MaxRequest))
	requests.DisallowUnknownFields()
	if err := requests.Decode(&r); err != nil {
		return json.NewEncoder(out).Encode(failed(problem.Newf("install keypaird and keypaird-names of the same version", "keypaird-names does not understand the request: %w", err)))
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { // keypaird holds it open until it has the answer
		_, _ = io.Copy(io.Discard, in)
		cancel()
	}()
	a := serve(ctx, &r, log)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return json.NewEncoder(out).Encode(a)
}
