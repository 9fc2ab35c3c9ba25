package main

import (
	"context"
	"flag"
	"io"

	"keypaird/cmd/keypaird-names/message"
	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/engine"
	"keypaird/cmd/keypaird/names"
	"keypaird/cmd/keypaird/output"
	"keypaird/renew/problem"
)

// discoverOptions are the options of discover.
type discoverOptions struct {
	with                     *names.Lookup
	json, verbose, ask, plan bool
	goal                     message.Goal
}

func (o *discoverOptions) add(f *flag.FlagSet) {
	o.with = names.Flags(f)
	f.BoolVar(&o.json, "json", false, "print the answer as JSON")
	f.BoolVar(&o.verbose, "v", false, "log unanswered DNS queries")
	f.BoolVar(&o.ask, "ask", false, "query the homeservers' version endpoint")
	f.BoolVar(&o.plan, "plan", false, "plan the move of the Matrix federation")
	f.StringVar(&o.goal.To, "to", "", "with -plan: move to `well-known`, the default, or to srv")
	f.StringVar(&o.goal.Server, "server", "", "with -plan: the homeserver, `HOST:PORT`; default: where homeservers go today")
	f.Func("since", "with -plan: `time` at which the change was published, to work out when caches expire", names.Time(&o.goal.Since))
}

// check refuses options that exclude each other.
func (o *discoverOptions) check(domains int) error {
	switch {
	case domains != 1:
		return &usageError{problem: "discover takes one domain, after the options"}
	case !o.plan && o.goal != (message.Goal{}):
		return &usageError{problem: "-to, -server and -since are about -plan"}
	case o.plan && (len(o.with.Services) > 0 || len(o.with.Components) > 0 || o.ask):
		return &usageError{problem: "-plan is about Matrix federation alone"}
	}
	return nil
}

// discoverCommand finds the endpoints and names that the services of a domain need, or
// with -plan what a move of its Matrix federation changes. It needs no
// configuration and changes nothing.
func discoverCommand(ctx context.Context, e *env, args []string) error {
	o := &discoverOptions{}
	o.add(e.flags)
	domains, err := e.parse(args)
	if err != nil {
		return err
	}
	if err := o.check(len(domains)); err != nil {
		return err
	}
	if o.with.RootsFile != "" {
		if err := o.with.Trust(e.warn); err != nil {
			return err
		}
	}
	r := message.Request{Lookup: o.with.Lookup, Verbose: o.verbose, Discover: &message.Discover{}}
	r.Lookup.Ask = o.ask
	r.Discover.Domain, r.Discover.Services = o.with.ParseDomain(domains[0])
	r.Discover.Components = names.ToDNS(o.with.Components...)
	if o.plan {
		r.Discover.Plan = &o.goal
	}
	if o.json {
		r.Format = message.JSON
	}
	return e.ask(ctx, r)
}

// ask has keypaird-names answer, and prints the answer. It returns the error that the
// results amount to.
func (e *env) ask(ctx context.Context, r message.Request) error {
	a, err := names.Ask(ctx, r, e.stderr)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(e.stdout, a.Output); err != nil {
		return err
	}
	if a.Error != "" {
		return problem.New(a.Error, a.Remedy)
	}
	return nil
}

// verifyCommand dials the endpoints of deployments, and those that the peers of a
// domain find, and compares what is served with what should be.
func verifyCommand(ctx context.Context, e *env, args []string) error {
	asJSON := e.flags.Bool("json", false, "print the checks as JSON")
	asTAP := e.flags.Bool("tap", false, "print the checks in the Test Anything Protocol, version 13")
	with := names.Flags(e.flags)
	args, err := e.parse(args)
	if err != nil {
		return err
	}
	if *asJSON && *asTAP {
		return &usageError{problem: "-json and -tap exclude each other"}
	}
	v, err := names.Prepare(names.Options{
		Names: args, With: with, Warn: e.warn,
		Config: e.options(),
		Engine: func(cfg *config.Config) (*engine.Engine, error) {
			return e.engine(cfg, engine.Options{Log: output.Logger(e.stderr, output.Quiet)})
		},
	})
	if err != nil {
		return err
	}
	defer v.Close()
	if len(v.Domains) == 0 && len(with.Services)+len(with.Components) > 0 {
		return &usageError{problem: "-service and -component are about domains: name one"}
	}
	r := message.Request{Verify: &v.Verify, Lookup: v.Lookup}
	switch {
	case *asJSON:
		r.Format = message.JSON
	case *asTAP:
		r.Format = message.TAP
	}
	return e.ask(ctx, r)
}
