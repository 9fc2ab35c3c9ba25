// Keypaird obtains, installs and renews the certificates of a server with two
// names: its host's by http-01, its plain domain's by dns-01.
//
// The configuration is one TOML file; its keys are documented in the type
// [keypaird/cmd/keypaird/config.Config].
//
// Each command is in the file of its name, but for version, which is here, and discover,
// which is in verify.go. The command issue is the shortest way through the whole program:
//
//	config.Load -> engine.New -> renew.Pass.Run -> acme.Client.Obtain, hooks.Deployment.Deploy
package main

import (
	"context"
	"errors"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"

	"keypaird/acme/responder"
	"keypaird/cmd/keypaird/cli"
	"keypaird/cmd/keypaird/daemon"
	"keypaird/cmd/keypaird/imports"
	"keypaird/cmd/keypaird/listener"
	"keypaird/cmd/keypaird/output"
	"keypaird/cmd/keypaird/runner"
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
	err := run(ctx, os.Args[1:], os.Getenv, output.Until(ctx.Done(), os.Stdout), stderr)
	status := runner.Again
	if !errors.Is(err, daemon.ErrAgain) {
		status = cli.ExitStatus(stderr, err)
	}
	stderr.Flush()
	stop()
	os.Exit(status)
}

// A command is one word after keypaird.
type command struct {
	cli.Command
	run func(ctx context.Context, e *env, args []string) error
}

var commands = []command{
	{cli.Command{Name: "init", Args: "[OPTION...] [DOMAIN]", Does: "write a first configuration, from answers and from what is here"}, initCommand},
	{cli.Command{Name: "run", Args: "[-v]", Does: "run the daemon in the foreground"}, runCommand},
	{cli.Command{Name: "issue", Args: "[-check] [-dry-run|-force] [-new-key] [-alone] [-v] [-json] [NAME...]", Does: "obtain and deploy what is missing, due or changed"}, issueCommand},
	{cli.Command{Name: "check", Args: "[-live] [-json]", Does: "check the configuration, and with -live all that issuing needs"}, checkCommand},
	{cli.Command{Name: "status", Args: "[-fleet] [-json] [NAME...]", Does: "show what is live, until when, and what comes next"}, statusCommand},
	{cli.Command{Name: "verify", Args: "[OPTION] [NAME|DOMAIN...]", Does: "check which certificate each endpoint serves"}, verifyCommand},
	{cli.Command{Name: "discover", Args: "[-plan] [OPTION...] DOMAIN", Does: "find the endpoints and names that a domain's services need"}, discoverCommand},
	{cli.Command{Name: "import", Args: "[-write] [-disable] [OPTION...]", Does: "take over from another ACME client"}, importCommand},
	{cli.Command{Name: "forget", Args: "[-files] [-json] NAME...", Does: "remove what is stored of targets that are no longer configured"}, forgetCommand},
	{cli.Command{Name: "deploy", Args: "[-list|-stand-in] [-v] [-json] [NAME...]", Does: "deploy and verify again what is stored, or list presets"}, deployCommand},
	{cli.Command{Name: "account", Args: "[-json] [show|register|rollover|deactivate] [CA...]", Does: "show the accounts at CAs, or change one"}, accountCommand},
	{cli.Command{Name: "revoke", Args: "[-reason REASON] [-key] [-only] [-v] [-json] NAME", Does: "replace a certificate and its key, and revoke the old one"}, revokeCommand},
	{cli.Command{Name: "fleet", Args: "[-rotate] [-print-etcdctl] [-json] [-reason REASON] [-compromised] [-force] key|init|status|rollback|hold|go|remove [NAME...]", Does: "begin a fleet, show it, or control how its certificates are deployed"}, fleetCommand},
	{cli.Command{Name: "dns", Args: "[-json] [PROVIDER]", Does: "list DNS providers, or the variables of one"}, dnsCommand},
	{cli.Command{Name: "version", Args: "[-json]", Does: "print the version"}, versionCommand},
}

// all returns the commands that the usage lists.
func all() (list cli.Commands) {
	for _, c := range commands {
		list = append(list, c.Command)
	}
	return list
}

// ownCommands are for keypaird's own use.
var ownCommands = []command{
	{cli.Command{Name: runner.Name, Args: "", Does: "start programs for the keypaird that started this"}, runnerCommand},
	{cli.Command{Name: imports.DisableCommand, Args: "", Does: "turn off what runs another ACME client, for the keypaird import that started this"}, disablerCommand},
	{cli.Command{Name: runner.Engine, Args: "[-v]", Does: "be the daemon of the keypaird run that started this"}, engineCommand},
}

// run is the program: it runs the command that args name.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	syscall.Umask(0o077)     // for files that are created without a mode of their own
	_ = launch.NoCoreDumps() // there are keys in memory; without this protection, work goes on
	runner.Inherit()
	responder.Guard()
	if len(args) == 1 && args[0] == listener.Command { // hidden: keypaird runs it
		return listener.Main()
	}
	e := &env{Env: cli.Env{Getenv: getenv, Stdout: stdout, Stderr: stderr}}
	e.SetFlags("keypaird", all().Usage())
	versionFlag := e.Flags.Bool("version", false, "print the version")
	if err := e.ParseFlags(args); err != nil {
		return cli.WithUsage(err, all().Usage())
	}
	if *versionFlag {
		return versionCommand(ctx, e, nil)
	}
	if e.Flags.NArg() == 0 {
		return &cli.UsageError{Problem: "no command given", Lines: all().Usage()}
	}
	name, rest := e.Flags.Arg(0), e.Flags.Args()[1:]
	if name == "help" {
		name, rest = e.Flags.Arg(1), []string{"-h"}
	}
	if name == "" {
		return e.ParseFlags([]string{"-h"})
	}
	for _, c := range append(ownCommands, commands...) {
		if c.Name == name {
			e.SetFlags(name, c.Usage()+c.Does+"\n")
			if name != "run" && name != runner.Engine {
				cli.CollectLate()
			}
			return cli.WithUsage(c.run(ctx, e, rest), c.Usage()+"keypaird: more: keypaird "+name+" -h\n")
		}
	}
	return all().Unknown(name)
}

// versionCommand prints the version of this program.
func versionCommand(_ context.Context, e *env, args []string) error {
	asJSON := e.Flags.Bool("json", false, "print the version as JSON")
	if _, err := e.Parse(args); err != nil {
		return err
	}
	return e.Print(version.Program(), *asJSON)
}
