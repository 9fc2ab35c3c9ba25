// Quickstart shows keypaird at work, on loopback and in a few seconds:
//
//	go run ./examples/quickstart
//
// It starts a CA that validates for real, a DNS server and a TLS proxy, writes a
// configuration, runs the real program twice, and checks the certificates that the
// proxy serves. It needs neither root nor the network, and leaves nothing behind.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) == 3 && os.Args[1] == "front" {
		os.Exit(front(os.Args[2], os.Stdin, os.Stdout, os.Stderr))
	}
	err := run(ctx, os.Stdout)
	if ctx.Err() != nil {
		err = errors.New("interrupted") // the reason for all other errors
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "\nquickstart: %v\n", err)
		stop()
		os.Exit(1)
	}
}
