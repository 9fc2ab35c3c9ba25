package names

import (
	"context"
	"flag"
	"io"

	"keypaird/cmd/keypaird-names/message"
	"keypaird/cmd/keypaird/cli"
	"keypaird/renew/problem"
	"keypaird/renew/textfmt"
)

// A Discovery is the options of keypaird discover.
type Discovery struct {
	with                     *Lookup
	json, verbose, ask, plan bool
	goal                     message.Goal
}

// NewDiscovery adds the options to flags.
func NewDiscovery(f *flag.FlagSet) *Discovery {
	o := &Discovery{with: Flags(f)}
	f.BoolVar(&o.json, "json", false, "print the answer as JSON")
	f.BoolVar(&o.verbose, "v", false, "log unanswered DNS queries")
	f.BoolVar(&o.ask, "ask", false, "query the homeservers' version endpoint")
	f.BoolVar(&o.plan, "plan", false, "plan the move of the Matrix federation")
	f.StringVar(&o.goal.To, "to", "", "with -plan: move to `well-known`, the default, or to srv")
	f.StringVar(&o.goal.Server, "server", "", "with -plan: the homeserver, `HOST:PORT`; default: where homeservers go today")
	f.Func("since", "with -plan: `time` at which the change was published, to work out when caches expire", timeFlag(&o.goal.Since))
	return o
}

// check refuses options that exclude each other.
func (o *Discovery) check(domains int) error {
	switch {
	case domains != 1:
		return cli.Usage("discover takes one domain, after the options")
	case !o.plan && o.goal != (message.Goal{}):
		return cli.Usage("-to, -server and -since are about -plan")
	case o.plan && (len(o.with.Services) > 0 || len(o.with.Components) > 0 || o.ask):
		return cli.Usage("-plan is about Matrix federation alone")
	}
	return nil
}

// Request returns the request for the domains behind the options, of which there may be one.
func (o *Discovery) Request(domains []string, warn func(message, remedy string)) (r message.Request, err error) {
	if err := o.check(len(domains)); err != nil {
		return r, err
	}
	if o.with.RootsFile != "" {
		if err := o.with.Trust(warn); err != nil {
			return r, err
		}
	}
	r = message.Request{Lookup: o.with.Lookup, Verbose: o.verbose, Discover: &message.Discover{}}
	r.Lookup.Ask = o.ask
	r.Discover.Domain, r.Discover.Services = o.with.ParseDomain(domains[0])
	r.Discover.Components = toDNS(o.with.Components...)
	if o.plan {
		r.Discover.Plan = &o.goal
	}
	if o.json {
		r.Format = message.JSON
	}
	return r, nil
}

// Print runs keypaird-names with a request and prints the answer in a style. It returns one
// error for all results that are failures, or nil.
func Print(ctx context.Context, r message.Request, style textfmt.Style, stdout, stderr io.Writer) error {
	if r.Format != message.Text {
		style = textfmt.Style{}
	}
	r.Width = style.Width
	a, err := Ask(ctx, r, stderr)
	if err != nil {
		return err
	}
	if r.Discover != nil {
		style.Width = 0 // it fits, and has tables of a configuration to copy
	}
	if _, err := io.WriteString(stdout, style.Set(a.Output)); err != nil {
		return err
	}
	if a.Error != "" {
		return problem.New(a.Error, a.Remedy)
	}
	return nil
}
