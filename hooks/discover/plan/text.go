package plan

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"keypaird/hooks/discover"
	"keypaird/hooks/discover/report"
	"keypaird/renew/problem"
	"keypaird/renew/textfmt"
)

// timeFormat is the format of times in text.
const timeFormat = "2006-01-02 15:04 UTC"

// WriteText prints a plan as text, in the order in which it is carried out. A width of 0
// means [report.TextWidth].
func (p *Plan) WriteText(out io.Writer, width int) error {
	from := map[string]string{ToWellKnown: "SRV records to well-known documents", ToSRV: "well-known documents to SRV records"}
	w := &textfmt.Writer{Width: cmp.Or(width, report.TextWidth)}
	w.Line(0, "%s: moving the Matrix federation from %s; homeserver %s", p.Domain, from[p.To], p.Server)
	w.Blank()
	w.Line(0, "today, certificates are needed for")
	now := p.Now
	now.Requirements = slices.DeleteFunc(slices.Clone(now.Requirements), func(r discover.Requirement) bool {
		return r.Default && r.Service != "matrix" // tried by peers of every domain
	})
	for _, n := range report.Needs(now) {
		n.WriteUses(w)
	}
	w.Blank()
	w.Line(0, "what the move changes")
	for _, c := range p.Changes {
		if !c.Row.Lacks() || c.Kind == gone && c.Row.Endpoint.Host != "" {
			c.write(w)
		}
	}
	p.writeSteps(w)
	p.writeResult(w)
	_, err := w.WriteTo(out)
	return err
}

func (c Change) write(w *textfmt.Writer) {
	strict := string(c.Row.Enforcement)
	switch c.Kind {
	case stricter, eased:
		strict += ", was " + string(c.Was)
	case gone:
		strict = "was " + string(c.Was)
	}
	w.Item(fmt.Sprintf("  %-8s  ", c.Kind), fmt.Sprintf("%s at %s: %s (%s, %s)",
		strings.Join(c.Row.Accept, " or "), c.Row.Endpoint.Full(), strict, c.Row.Role, c.Row.CheckedBy))
	if c.Row.When != "" && c.Kind != gone {
		w.Line(12, "only when %s", c.Row.When)
	}
}

// writeSteps prints what to publish, to wait for and to remove.
func (p *Plan) writeSteps(w *textfmt.Writer) {
	w.List("to know", p.Notes)
	w.Blank()
	if len(p.Publish) > 0 {
		w.Line(0, "publish, on every address of %s", p.Domain)
	} else {
		w.Line(0, "publish, in the zone of %s", p.Domain)
	}
	for _, f := range p.Publish {
		w.Line(2, "%s", f.URL)
		for _, name := range slices.Sorted(maps.Keys(f.Headers)) {
			w.Line(4, "%s: %s", name, f.Headers[name])
		}
		w.Verbatim(6, f.Body)
	}
	for _, r := range p.Records {
		w.Verbatim(2, r)
	}
	w.List("remove, in the end", p.Remove)
	w.Blank()
	w.Line(0, "wait %s in all: peers use cached answers that long", textfmt.Duration(p.Wait()))
	for _, wait := range p.Waits {
		w.Line(2, "%s", wait.Text)
	}
	if !p.When.IsZero() {
		w.Line(2, "until %s", p.When.UTC().Format(timeFormat))
	}
}

// writeResult prints what can be dropped, what stays, and whether it can be
// dropped now.
func (p *Plan) writeResult(w *textfmt.Writer) {
	drop := p.Drop
	if len(drop) == 0 {
		drop = []string{"nothing"}
	}
	w.List("needed all the same", p.Keep)
	if p.Safe {
		w.List("SAFE to drop now", drop)
		return
	}
	w.List("what can be dropped when all that is done", drop)
	w.List("NOT SAFE to drop anything now", p.Blockers)
}

// Err returns an error until the plan is Safe. Its remedy says when to ask again, and
// how: while only time is missing, Since stays as it was given; otherwise it was too
// early.
func (p *Plan) Err(now time.Time) error {
	if p.Safe {
		return nil
	}
	since, when := "TIME", "when all that is listed is done, since TIME such as 2026-11-03T14:00"
	if len(p.Blockers) == 1 && now.Before(p.When) { // the one that waits
		since = p.When.Add(-p.Wait()).UTC().Format(time.RFC3339)
		when = "after " + p.When.UTC().Format(timeFormat)
	}
	n := len(p.Blockers)
	return problem.New(
		fmt.Sprintf("%s: not safe to drop anything: %d %s in the way", p.Domain, n, textfmt.Plural(n, "thing is", "things are")),
		fmt.Sprintf("%s, ask again: keypaird discover -plan -to %s -server %s -since %s %s", when, p.To, p.Server, since, p.Domain))
}
