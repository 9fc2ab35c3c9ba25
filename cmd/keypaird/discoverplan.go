package main

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"keypaird/cmd/keypaird/config"
	"keypaird/hooks/discover"
	"keypaird/hooks/discover/plan"
)

// goalFlags say what a plan is for.
type goalFlags struct {
	to, server, since string
}

func (g *goalFlags) add(f *flag.FlagSet) {
	f.StringVar(&g.to, "to", "", "with -plan: move to `well-known`, the default, or to srv")
	f.StringVar(&g.server, "server", "", "with -plan: the homeserver, `HOST:PORT`; default: where homeservers go today")
	f.StringVar(&g.since, "since", "", "with -plan: `time` at which the change was published, to work out when caches expire")
}

func (g goalFlags) given() bool { return g != goalFlags{} }

// plan says what a move changes, and fails until it is safe to drop what it
// makes superfluous.
func (a *app) plan(ctx context.Context, d *discover.Discoverer, domain string, g goalFlags, asJSON bool) error {
	goal := plan.Goal{To: g.to, Server: g.server}
	if goal.To == "" {
		goal.To = plan.ToWellKnown
	}
	if g.since != "" {
		var err error
		if goal.Since, err = readSince(g.since, time.Now()); err != nil {
			return &UsageError{"-since: " + err.Error()}
		}
	}
	made, err := plan.Make(ctx, d, domain, goal)
	if err != nil {
		return err
	}
	if asJSON {
		err = a.printJSON(made)
	} else {
		p := &paper{}
		p.plan(made)
		_, err = a.stdout.Write(p.text())
	}
	if err == nil && !made.Safe {
		err = &PlanError{made, g}
	}
	return err
}

// A PlanError reports a move after which nothing can be dropped yet.
type PlanError struct {
	Plan  plan.Plan
	flags goalFlags
}

func (e *PlanError) Error() string {
	n := len(e.Plan.Blockers)
	return fmt.Sprintf("%s: not safe to drop anything: %d %s in the way", e.Plan.Domain, n, plural(n, "thing is", "things are"))
}

// Remedy says when to ask again, and how. A time that was given stands as long as
// only time is in the way: while something is still to be done, it was too early.
func (e *PlanError) Remedy() string {
	since, when := "TIME", "when all that is listed is done, since TIME such as 2026-11-03T14:00"
	if len(e.Plan.Blockers) == 1 && time.Now().Before(e.Plan.When) {
		since = e.Plan.When.Add(-e.Plan.Wait()).UTC().Format(time.RFC3339)
		when = "after " + e.Plan.When.UTC().Format("2006-01-02 15:04 UTC")
	}
	return fmt.Sprintf("%s, ask again: keypaird discover -plan -to %s -server %s -since %s %s", when, e.Plan.To, e.Plan.Server, since, e.Plan.Domain)
}

// plan writes a plan in the order in which it is carried out.
func (p *paper) plan(m plan.Plan) {
	other := map[string]string{plan.ToWellKnown: "SRV records to well-known documents", plan.ToSRV: "well-known documents to SRV records"}
	p.line(0, "%s: moving the Matrix federation from %s; homeserver %s", m.Domain, other[m.To], m.Server)
	p.blank()
	p.line(0, "today, certificates are needed for")
	now := m.Now
	now.Requirements = slices.DeleteFunc(slices.Clone(now.Requirements), func(r discover.Requirement) bool {
		return r.Default && r.Service != "matrix" // tried by peers of every domain
	})
	for _, n := range needsOf(now) {
		p.uses(n)
	}
	p.blank()
	p.line(0, "what the move changes")
	for _, c := range m.Changes {
		if !c.Row.Lacks() || c.Kind == "gone" && c.Row.Endpoint.Host != "" {
			p.change(c)
		}
	}
	p.steps(m)
	p.verdict(m)
}

func (p *paper) change(c plan.Change) {
	strict := string(c.Row.Enforcement)
	switch c.Kind {
	case "stricter", "eased":
		strict += ", was " + string(c.Was)
	case "gone":
		strict = "was " + string(c.Was)
	}
	p.hang(fmt.Sprintf("  %-8s  ", c.Kind), 12, fmt.Sprintf("%s at %s: %s (%s, %s)",
		strings.Join(c.Row.Accept, " or "), c.Row.Endpoint.Full(), strict, c.Row.Role, c.Row.CheckedBy))
	if c.Row.When != "" && c.Kind != "gone" {
		p.line(12, "only when %s", c.Row.When)
	}
}

// steps writes what to publish, to wait for and to remove.
func (p *paper) steps(plan plan.Plan) {
	p.listed("to know", plan.Notes)
	p.blank()
	if len(plan.Publish) > 0 {
		p.line(0, "publish, on every address of %s", plan.Domain)
	} else {
		p.line(0, "publish, in the zone of %s", plan.Domain)
	}
	for _, f := range plan.Publish {
		p.line(2, "%s", f.URL)
		for _, name := range slices.Sorted(maps.Keys(f.Headers)) {
			p.line(4, "%s: %s", name, f.Headers[name])
		}
		for line := range strings.Lines(f.Body) {
			p.b.WriteString("      " + config.Printable(strings.TrimRight(line, "\n"), maxShownLine) + "\n")
		}
	}
	for _, r := range plan.Records {
		p.b.WriteString("  " + config.Printable(r, maxShownLine) + "\n")
	}
	p.listed("remove, in the end", plan.Remove)
	p.blank()
	p.line(0, "wait %s in all, as peers go by what they know", inWords(plan.Wait()))
	for _, w := range plan.Waits {
		p.line(2, "%s", w.Text)
	}
	if !plan.When.IsZero() {
		p.line(2, "until %s", plan.When.UTC().Format("2006-01-02 15:04 UTC"))
	}
}

// verdict writes what can be dropped, what stays, and whether it can be today.
func (p *paper) verdict(plan plan.Plan) {
	drop := plan.Drop
	if len(drop) == 0 {
		drop = []string{"nothing"}
	}
	p.listed("needed all the same", plan.Keep)
	if plan.Safe {
		p.listed("SAFE to drop now", drop)
		return
	}
	p.listed("what can be dropped when all that is done", drop)
	p.listed("NOT SAFE to drop anything now", plan.Blockers)
}

// listed writes a list with a title; nothing if it is empty.
func (p *paper) listed(title string, items []string) {
	if len(items) == 0 {
		return
	}
	p.blank()
	p.line(0, "%s", title)
	for _, item := range items {
		p.hang("  - ", 4, item)
	}
}
