// Keypaird obtains, installs and renews the certificates of a server with two
// names: its host's by http-01, its plain domain's by dns-01.
//
// The configuration is one TOML file; its keys are documented in the type
// [keypaird/cmd/keypaird/config.Config].
//
// Each command is in the file of its name, but for version, which is here, and verify,
// which is in discover.go. The command issue is the shortest way through the whole program:
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
	"keypaird/cmd/keypaird/listener"
	"keypaird/cmd/keypaird/output"
	"keypaird/cmd/keypaird/runner"
	"keypaird/cmd/keypaird/version"
	"keypaird/renew/launch"
	"keypaird/renew/textfmt"
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
	{"init", "[OPTION...] [DOMAIN]", "write a first configuration, from answers and from what is here", initCommand},
	{"run", "[-v]", "run the daemon in the foreground", runCommand},
	{"issue", "[-dry-run|-force] [-new-key] [-v] [-json] [NAME...]", "obtain and deploy what is missing, due or changed", issueCommand},
	{"check", "[-live] [-json]", "check the configuration, and with -live all that issuing needs", checkCommand},
	{"status", "[-json] [NAME...]", "show what is live, until when, and what comes next", statusCommand},
	{"verify", "[OPTION] [NAME|DOMAIN...]", "check which certificate each endpoint serves", verifyCommand},
	{"discover", "[-plan] [OPTION...] DOMAIN", "find the endpoints and names that a domain's services need", discoverCommand},
	{"import", "[-write] [-disable] [OPTION...]", "take over from another ACME client", importCommand},
	{"forget", "[-files] [-json] NAME...", "remove what is stored of targets that are no longer configured", forgetCommand},
	{"deploy", "[-list|-stand-in] [-v] [-json] [NAME...]", "deploy and verify again what is stored, or list presets", deployCommand},
	{"account", "[-json] [show|register|rollover|deactivate] [CA...]", "show the accounts at CAs, or change one", accountCommand},
	{"revoke", "[-reason REASON] [-key] [-only] [-v] [-json] NAME", "replace a certificate and its key, and revoke the old one", revokeCommand},
	{"dns", "[-json] [PROVIDER]", "list DNS providers, or the variables of one", dnsCommand},
	{"version", "[-json]", "print the version", versionCommand},
}

// ownCommands are for keypaird's own use.
var ownCommands = []command{
	{runner.Name, "", "start programs for the keypaird that started this", runnerCommand},
	{runner.Engine, "[-v]", "be the daemon of the keypaird run that started this", engineCommand},
}

// run is the program.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	syscall.Umask(0o077)     // for files that are created without a mode of their own
	_ = launch.NoCoreDumps() // there are keys in memory; without this protection, work goes on
	runner.Inherit()
	responder.Guard()
	if len(args) == 1 && args[0] == listener.Command { // hidden: keypaird runs it
		return listener.Main()
	}
	e := &env{getenv: getenv, stdout: stdout, stderr: stderr, version: version.Program().Version}
	e.setFlags("keypaird", usage())
	versionFlag := e.flags.Bool("version", false, "print the version")
	if err := e.parseFlags(args); err != nil {
		return withUsage(err, usage())
	}
	if *versionFlag {
		return versionCommand(ctx, e, nil)
	}
	if e.flags.NArg() == 0 {
		return &usageError{"no command given", usage()}
	}
	name, rest := e.flags.Arg(0), e.flags.Args()[1:]
	if name == "help" {
		name, rest = e.flags.Arg(1), []string{"-h"}
	}
	if name == "" {
		return e.parseFlags([]string{"-h"})
	}
	for _, c := range append(ownCommands, commands...) {
		if c.name == name {
			e.setFlags(name, c.usage()+c.does+"\n")
			return withUsage(c.run(ctx, e, rest), c.usage()+"keypaird: more: keypaird "+name+" -h\n")
		}
	}
	return noCommand(name)
}

// noCommand returns the error for a name that no command has.
func noCommand(name string) error {
	var names []string
	for _, c := range commands {
		names = append(names, c.name)
	}
	mistake := fmt.Sprintf("no command %q", name)
	if near := textfmt.Nearest(name, names); near != "" {
		mistake += fmt.Sprintf(", did you mean %q?", near)
	}
	return &usageError{mistake, usage()}
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
	for _, c := range commands {
		fmt.Fprintf(&b, "  %-9s %s\n", c.name, c.does)
	}
	b.WriteString("what a command takes: keypaird help COMMAND\n")
	return b.String()
}

// versionCommand prints the version of this program.
func versionCommand(_ context.Context, e *env, args []string) error {
	asJSON := e.flags.Bool("json", false, "print the version as JSON")
	if _, err := e.parse(args); err != nil {
		return err
	}
	return e.print(version.Program(), *asJSON)
}
