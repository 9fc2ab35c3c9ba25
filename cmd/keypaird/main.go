// Keypaird keeps both certificates of a server with two names alive: its host's
// by http-01, its plain domain's by dns-01.
//
// The configuration is one TOML file; its keys are documented in the [Config]
// type.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"

	"keypaird/acme/dns01/sandbox"
	"keypaird/acme/http01"
	"keypaird/renew/status"
)

func main() {
	// We say nothing through the standard logger. net/http does: it would repeat,
	// among our lines, what a server sends that it was not asked for.
	log.SetOutput(io.Discard)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := exitStatus(os.Stderr, run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
	stop()
	os.Exit(status)
}

// An app is one run of the program, as its commands see it.
type app struct {
	env    func(string) string
	stdout io.Writer // results
	stderr io.Writer // everything else
	config string    // -config

	metrics *status.Metrics // nil: nobody counts
}

// run is the program.
func run(ctx context.Context, args []string, env func(string) string, stdout, stderr io.Writer) error {
	err := dispatch(ctx, args, env, stdout, stderr)
	var help *helpWanted
	if errors.As(err, &help) {
		help.print(stdout)
		return nil
	}
	return err
}

func dispatch(ctx context.Context, args []string, env func(string) string, stdout, stderr io.Writer) error {
	syscall.Umask(0o077)      // whatever a mistake of ours would create
	_ = sandbox.NoCoreDumps() // there are keys in memory; where that cannot be, work goes on
	http01.Guard()
	a := &app{env: env, stdout: stdout, stderr: stderr}
	flags := a.flags("keypaird")
	if err := parse(flags, args); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return &UsageError{"no command given"}
	}
	name, rest := flags.Arg(0), flags.Args()[1:]
	for _, c := range commands() {
		if c.name == name {
			err := c.run(a, ctx, rest)
			var misused *UsageError
			if errors.As(err, &misused) {
				return &slipError{c, err}
			}
			return err
		}
	}
	return &UsageError{fmt.Sprintf("no command %q", name)}
}

// A command is one word after keypaird.
type command struct {
	name, args, does string
	run              func(a *app, ctx context.Context, args []string) error
}

func commands() []command {
	return []command{
		{"run", "[-v]", "keep every target alive, in the foreground, until it is told to end", (*app).run},
		{"issue", "[-force] [-v] [-json] [NAME...]", "obtain and deploy now what is missing, due or changed", (*app).issue},
		{"check", "[-live] [-json]", "find every mistake of the configuration; -live tries what issuing needs", (*app).check},
		{"status", "[-json] [NAME...]", "say what is live, until when, and what comes next", (*app).status},
		{"verify", "[OPTION] [NAME|DOMAIN...]", "check which certificate each endpoint serves", (*app).verify},
		{"discover", "[-plan] [OPTION...] DOMAIN", "find the endpoints and certificate names a domain's services need", (*app).discover},
		{"deploy", "-list [-json] [PRESET...]", "say what is known of the servers there are presets for", (*app).deploy},
		{"dns", "[-json] [PROVIDER]", "list DNS providers, or the variables of one", (*app).dns},
		{"version", "[-json]", "say which program this is", (*app).version},
	}
}
