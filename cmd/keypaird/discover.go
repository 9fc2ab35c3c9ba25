package main

import (
	"cmp"
	"context"
	"flag"
	"log/slog"
	"time"

	"keypaird/cmd/keypaird/names"
	"keypaird/cmd/keypaird/output"
	"keypaird/hooks/discover/plan"
)

// discoverOptions are the options of discover.
type discoverOptions struct {
	with                     *names.Lookup
	json, verbose, ask, plan bool
	goal                     plan.Goal
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
	case !o.plan && o.goal != plan.Goal{}:
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
	level := output.Quiet
	if o.verbose {
		level = slog.LevelDebug
	}
	o.with.Log, o.with.Ask = output.Logger(e.stderr, level), o.ask
	if o.with.Roots != "" {
		if err := o.with.Trust(e.warn); err != nil {
			return err
		}
	}
	domain, services := o.with.ParseDomain(domains[0])
	if o.plan {
		p, err := plan.Make(ctx, o.with.Discoverer, domain, o.goal)
		if err != nil {
			return err
		}
		return cmp.Or(e.print(&p, o.json), p.Err(time.Now()))
	}
	answer, err := o.with.Discover(ctx, domain, services, names.ToDNS(o.with.Components...))
	if err != nil {
		return err
	}
	d := names.Document(o.with.Discoverer, answer)
	return cmp.Or(e.print(d, o.json), d.Err())
}
