package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"keypaird/hooks/discover"
)

// A discovery is what "keypaird discover -json" prints.
type discovery struct {
	discover.Answer
	Needs  []nameNeed `json:"needs"`
	Config string     `json:"config,omitempty"` // tables that keep those names alive
}

// discoverOptions are the options of discover.
type discoverOptions struct {
	look                     *lookFlags
	json, verbose, ask, plan bool
	services, components     several
	goal                     goalFlags
}

func (o *discoverOptions) add(f *flag.FlagSet) {
	o.look = addLookFlags(f)
	f.BoolVar(&o.json, "json", false, "print the answer as JSON")
	f.BoolVar(&o.verbose, "v", false, "log unanswered DNS queries")
	f.BoolVar(&o.ask, "ask", false, "query the homeservers' version endpoint")
	f.BoolVar(&o.plan, "plan", false, "plan the move of the Matrix federation")
	f.Var(&o.services, "service", "find this `service` only; may be given several times")
	f.Var(&o.components, "component", "a further XMPP `domain`, such as conference.example.org; may be given several times")
	o.goal.add(f)
}

// wrong says which options do not go together.
func (o *discoverOptions) wrong(names int) error {
	switch {
	case names != 1:
		return &usageError{problem: "discover takes one domain, after the options"}
	case !o.plan && o.goal.given():
		return &usageError{problem: "-to, -server and -since are about -plan"}
	case o.plan && (len(o.services) > 0 || len(o.components) > 0 || o.ask):
		return &usageError{problem: "-plan is about Matrix federation alone"}
	}
	return nil
}

// discoverCommand says which endpoints and names the services of a domain need, or
// with -plan what a move of its Matrix federation changes. It needs no
// configuration and changes nothing.
func discoverCommand(ctx context.Context, a *env, args []string) error {
	o := &discoverOptions{}
	o.add(a.flags)
	names, err := a.parse(args)
	if err != nil {
		return err
	}
	if err := o.wrong(len(names)); err != nil {
		return err
	}
	level := levelQuiet
	if o.verbose {
		level = slog.LevelDebug
	}
	d, err := o.look.discoverer(logger(a.stderr, level))
	if err != nil {
		return err
	}
	d.Ask = o.ask
	domain := lookName(names[0])
	if o.plan {
		return planMove(ctx, a, d, domain, o.goal, o.json)
	}
	answer, err := d.Discover(ctx, domain, o.services, lookNames(o.components))
	if err != nil {
		return err
	}
	needs := needsOf(answer)
	config := tablesFor(answer, needs)
	if o.json {
		err = a.printJSON(discovery{answer, needs, config})
	} else {
		p := &paper{}
		p.answer(answer, o.look)
		p.needs(answer, needs, config)
		_, err = a.stdout.Write(p.text())
	}
	if err != nil {
		return err
	}
	return judge(answer)
}

func lookNames(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = lookName(n)
	}
	return out
}

// several are the values of a flag that may be given several times.
type several []string

func (w *several) String() string { return strings.Join(*w, " ") }

// Set adds one, or several with commas between.
func (w *several) Set(s string) error {
	for one := range strings.SplitSeq(s, ",") {
		*w = append(*w, strings.TrimSpace(one))
	}
	return nil
}

// An AnswerError reports a domain of which not everything is known, or well.
type AnswerError struct {
	Domain        string
	Errors, Blank int // problems that turn peers away; rows of which nothing is known
	Hint          string
}

func (e *AnswerError) Error() string {
	var parts []string
	if e.Errors > 0 {
		parts = append(parts, fmt.Sprintf("%d %s away", e.Errors, plural(e.Errors, "problem turns peers", "problems turn peers")))
	}
	if e.Blank > 0 {
		parts = append(parts, fmt.Sprintf("%d %s could not be determined", e.Blank, plural(e.Blank, "row", "rows")))
	}
	return e.Domain + ": " + strings.Join(parts, ", ")
}

// Remedy is that of the first problem.
func (e *AnswerError) Remedy() string { return e.Hint }

// judge is nil for an answer that is complete and has no errors in it.
func judge(a discover.Answer) error {
	e := &AnswerError{Domain: a.Domain}
	for _, p := range a.Problems {
		if p.Error {
			if e.Errors++; e.Hint == "" {
				e.Hint = p.Remedy
			}
		}
	}
	e.Blank = blank(a)
	switch {
	case e.Errors == 0 && e.Blank == 0:
		return nil
	case e.Hint == "":
		e.Hint = "ask again, or ask another resolver with -resolver; look at documents from elsewhere"
	}
	return e
}

// blank is the number of rows of which nothing is known.
func blank(a discover.Answer) (n int) {
	for _, r := range a.Requirements {
		if r.State == discover.Undetermined {
			n++
		}
	}
	return n
}

// readSince reads a time as a person types it: a date, a date and time of this
// machine, RFC 3339, or how long ago it was.
func readSince(s string, now time.Time) (time.Time, error) {
	if ago, err := time.ParseDuration(s); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02"} {
		t, err := time.ParseInLocation(layout, s, now.Location())
		if err == nil && t.After(now) {
			return t, fmt.Errorf("%s is still to come", s)
		}
		if err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time: write 2026-11-03T14:00 or, for how long ago, 49h", s)
}
