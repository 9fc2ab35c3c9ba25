// Keypaird obtains, installs and renews the certificates of a server with two
// names: its host's by http-01, its plain domain's by dns-01.
//
// The configuration is one TOML file; its keys are documented in the type
// [keypaird/cmd/keypaird/config.Config].
//
// Each command is in the file of its name. The command issue is the shortest way
// through the whole program:
//
//	config.Load -> engine.New -> renew.Pass.Run -> acme.Client.Obtain, hooks.Deployment.Deploy
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"keypaird/acme/responder"
	"keypaird/cmd/keypaird/output"
	"keypaird/cmd/keypaird/version"
	"keypaird/renew/launch"
)

func main() {
	// Only net/http uses the standard logger: it would repeat, among our lines, what
	// a server sends unasked.
	log.SetOutput(io.Discard)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	stderr := output.NewWriter(os.Stderr)
	go stderr.Run(nil) // until the process ends: the reader may block it
	context.AfterFunc(ctx, stderr.Drop)
	status := exitStatus(stderr, run(ctx, os.Args[1:], os.Getenv, output.Until(ctx.Done(), os.Stdout), stderr))
	stderr.Flush()
	stop()
	os.Exit(status)
}

// A command is one word after keypaird.
type command struct {
	name, args, does string
	run              func(ctx context.Context, e *env, args []string) error
}

var commands = []command{
	{"run", "[-v]", "run the daemon in the foreground", runCommand},
	{"issue", "[-force] [-v] [-json] [NAME...]", "obtain and deploy what is missing, due or changed", issueCommand},
	{"check", "[-live] [-json]", "check the configuration; -live also tests CAs, DNS and hooks", checkCommand},
	{"status", "[-json] [NAME...]", "show what is live, until when, and what comes next", statusCommand},
	{"verify", "[OPTION] [NAME|DOMAIN...]", "check which certificate each endpoint serves", verifyCommand},
	{"discover", "[-plan] [OPTION...] DOMAIN", "find the endpoints and certificate names a domain's services need", discoverCommand},
	{"import", "[-write] [-disable] [OPTION...]", "take over from another ACME client", importCommand},
	{"forget", "[-files] [-json] NAME...", "remove what is stored of targets, or known of files, that are no longer configured", forgetCommand},
	{"deploy", "[-list|-stand-in] [-v] [-json] [NAME...]", "deploy and verify again what is stored; or list the presets", deployCommand},
	{"dns", "[-json] [PROVIDER]", "list DNS providers, or the variables of one", dnsCommand},
	{"version", "[-json]", "print the version", versionCommand},
}

// run is the program.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	syscall.Umask(0o077)     // for files that are created without a mode of their own
	_ = launch.NoCoreDumps() // there are keys in memory; without this protection, work goes on
	responder.Guard()
	e := &env{getenv: getenv, stdout: stdout, stderr: stderr, version: version.Program().Version}
	e.setFlags("keypaird", usage())
	if err := e.parseFlags(args); err != nil {
		return withUsage(err, usage())
	}
	if e.flags.NArg() == 0 {
		return &usageError{"no command given", usage()}
	}
	name, rest := e.flags.Arg(0), e.flags.Args()[1:]
	for _, c := range commands {
		if c.name == name {
			e.setFlags(name, c.usage()+c.does+"\n")
			return withUsage(c.run(ctx, e, rest), c.usage()+"keypaird: more: keypaird "+name+" -h\n")
		}
	}
	return &usageError{fmt.Sprintf("no command %q", name), usage()}
}

// withUsage adds usage to a usageError.
func withUsage(err error, usage string) error {
	if misuse, ok := errors.AsType[*usageError](err); ok {
		misuse.usage = usage
	}
	return err
}

func (c command) usage() string { return fmt.Sprintf("usage: keypaird %s %s\n", c.name, c.args) }

func usage() string {
	var b strings.Builder
	b.WriteString("usage: keypaird [-config FILE] COMMAND, where COMMAND is one of\n")
	width := 0
	for _, c := range commands {
		width = max(width, len(c.args))
	}
	for _, c := range commands {
		fmt.Fprintf(&b, "  %-8s %-*s %s\n", c.name, width, c.args, c.does)
	}
	return b.String()
}
