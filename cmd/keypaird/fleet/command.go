package fleet

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"keypaird/cmd/keypaird/cli"
	"keypaird/cmd/keypaird/config"
	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/engine"
	"keypaird/renew/launch"
	"keypaird/renew/problem"
	"keypaird/renew/textfmt"
)

// A Command is "keypaird fleet".
type Command struct {
	Stdout io.Writer
	Hint   func(text string) // what to do next
	Log    *slog.Logger
	// Connect opens the engine; nil: by keypaird-fleet.
	Connect func(ctx context.Context, cfg *config.Config, log *slog.Logger) (e engine.Engine, end func())
	JSON    bool // the status is printed as JSON

	rotate, etcdctl, compromised, force bool

	reason  string
	options config.Options
}

// verbs are the words of the command, as its usage has them.
var verbs = []string{"key", "init", "status", "rollback", "hold", "go", "remove"}

// Verb takes the verb from the front of args: options may follow it.
func Verb(args []string) (verb, rest []string) {
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		return args[:1:1], args[1:]
	}
	return nil, args
}

// Flags adds the options.
func (c *Command) Flags(flags *flag.FlagSet) {
	flags.BoolVar(&c.rotate, "rotate", false, "with key: make a second key beside the first; the next time, once [fleet.nodes] has only the new one, remove the first")
	flags.BoolVar(&c.etcdctl, "print-etcdctl", false, "with init: print the commands that make the users and roles of etcd, and do nothing")
	flags.StringVar(&c.reason, "reason", "", "with hold: the `reason`, which keypaird fleet status shows")
	flags.BoolVar(&c.compromised, "compromised", false, "with remove: order new pairs in place of all that the node had")
	flags.BoolVar(&c.force, "force", false, "with rollback: go back even if peers that check TLSA records refuse the earlier certificate")
	flags.BoolVar(&c.JSON, "json", false, "with status: print it as JSON")
}

// Run runs the command.
func (c *Command) Run(ctx context.Context, o config.Options, words []string) error {
	if c.options = o; o.Hostname == nil {
		c.options.Hostname = os.Hostname
	}
	if len(words) == 0 || len(words) > 1 && (words[0] == "key" || words[0] == "init") {
		return cli.Usage("fleet takes one of the words " + strings.Join(verbs, " and "))
	}
	switch verb := words[0]; {
	case c.rotate && verb != "key" || c.etcdctl && verb != "init" || c.JSON && verb != "status" || c.reason != "" && verb != "hold" || c.compromised && verb != "remove" || c.force && verb != "rollback":
		return cli.Usage("-rotate is for key, -print-etcdctl for init, -json for status, -force for rollback, -reason for hold, and -compromised for remove")
	case verb == "status":
		return c.status(ctx, words[1:])
	case verb == "remove":
		return c.remove(ctx, words[1:])
	case verb == "rollback" || verb == "hold" || verb == "go":
		return c.change(ctx, document.Verb(verb), words[1:])
	case verb == "key":
		return c.key()
	case verb == "init" && c.etcdctl:
		return c.rights()
	case verb == "init":
		return c.init(ctx)
	default:
		mistake := fmt.Sprintf("fleet does not %q", verb)
		if near := textfmt.Nearest(verb, verbs); near != "" {
			mistake += fmt.Sprintf(", did you mean %q?", near)
		}
		return cli.Usage(mistake)
	}
}

// load reads the configuration, which must have a fleet.
func (c *Command) load(o config.Options) (*config.Config, error) {
	cfg, err := config.Load(o)
	if err == nil && !cfg.InFleet() {
		err = problem.New("the configuration has no [fleet]", "add one: the examples fleet-mx and fleet-haproxy are a start, and keypaird fleet key prints the line of each node")
	}
	return cfg, err
}

// rights prints the commands that make users and roles.
func (c *Command) rights() error {
	o := c.options
	o.NoSecrets = true
	cfg, err := c.load(o)
	if err != nil {
		return err
	}
	_, err = io.WriteString(c.Stdout, etcdctlCommands(cfg.Fleet))
	return err
}

// init begins the fleet.
func (c *Command) init(ctx context.Context) error {
	cfg, err := c.load(c.options)
	if err != nil {
		return err
	}
	if err := launch.BecomeOwner(cfg.State); err != nil {
		return err
	}
	b, err := newBeginning(cfg)
	if err != nil {
		return err
	}
	connect := c.Connect
	if connect == nil {
		connect = connectEngine
	}
	e, end := connect(ctx, cfg, c.Log)
	defer end()
	id, fresh, err := b.begin(ctx, e)
	if err != nil {
		return err
	}
	if !fresh {
		_, err := fmt.Fprintf(c.Stdout, "fleet %s is at %s already\n", id, cfg.Fleet.Prefix)
		return err
	}
	c.Hint("start keypaird on the nodes in order first: " + strings.Join(cfg.Fleet.Order, ", "))
	_, err = fmt.Fprintf(c.Stdout, "fleet %s begins at %s\n", id, cfg.Fleet.Prefix)
	return err
}
