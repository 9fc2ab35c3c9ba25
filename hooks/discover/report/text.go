package report

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"keypaird/hooks/discover"
	"keypaird/renew/problem"
	"keypaird/renew/textfmt"
)

// TextWidth is how wide the text of a document is where there is no terminal.
const TextWidth = 92

// WriteText prints the document as text: what was found, service by service, what
// is wrong, and the names that certificates need. A width of 0 means TextWidth.
func (d *Document) WriteText(out io.Writer, width int) error {
	w := &textfmt.Writer{Width: cmp.Or(width, TextWidth)}
	w.Line(0, "%s, asked of %s on %s", d.Domain, strings.Join(d.Resolvers, " and "), d.Time.Format("2006-01-02 15:04 UTC"))
	for _, name := range slices.Sorted(maps.Keys(d.Supposed)) {
		w.Line(0, "supposing that %s is at %s", name, join(d.Supposed[name]))
	}
	for _, service := range d.Services {
		w.Blank()
		w.Line(0, "%s", service)
		rows := slices.DeleteFunc(slices.Clone(d.Requirements), func(r discover.Requirement) bool { return r.Service != service })
		d.writeService(w, rows)
	}
	d.writeProblems(w)
	d.writeNeeds(w)
	_, err := w.WriteTo(out)
	return err
}

// writeProblems prints the problems that no row has.
func (d *Document) writeProblems(w *textfmt.Writer) {
	begun := false
	for _, p := range d.Problems {
		if !p.Error && p.InRow {
			continue
		}
		if !begun {
			w.Blank()
			w.Line(0, "problems")
		}
		begun = true
		kind := "warning"
		if p.Error {
			kind = "error"
		}
		w.Item(fmt.Sprintf("  %-7s  ", kind), p.Service+": "+p.Text)
		if p.Remedy != "" {
			w.Line(11, "remedy: %s", p.Remedy)
		}
	}
}

// writeService prints the rows of one service: those with an endpoint, one after
// the other; then in few words the others.
func (d *Document) writeService(w *textfmt.Writer, rows []discover.Requirement) {
	var last []string
	for _, r := range rows {
		if r.Lacks() {
			continue
		}
		d.writeRow(w, r)
		lines := evidenceLines(r)
		if slices.Equal(lines, last) {
			continue // they are just above
		}
		last = lines
		for _, text := range lines {
			w.Item("            - ", text)
		}
	}
	d.writeMissing(w, rows)
}

// writeMissing prints the rows without an endpoint, those of one reason together.
func (d *Document) writeMissing(w *textfmt.Writer, rows []discover.Requirement) {
	type reason struct {
		state discover.State
		why   string
	}
	groups := map[reason][]discover.Requirement{}
	var order []reason
	for _, r := range rows {
		if !r.Lacks() {
			continue
		}
		k := reason{r.State, cmp.Or(r.Reason, r.Why)}
		if groups[k] == nil {
			order = append(order, k)
		}
		groups[k] = append(groups[k], r)
	}
	for _, k := range order {
		why := k.why
		if len(groups[k]) == 1 && k.state != discover.Absent {
			why = groups[k][0].Why
		}
		var roles []string
		for _, r := range groups[k] {
			roles = append(roles, d.roleOf(r))
		}
		w.Item(fmt.Sprintf("  %-8s  ", stateWords[k.state]), strings.Join(slices.Compact(roles), ", ")+": "+why)
	}
}

// stateWords say what a row without an endpoint is.
var stateWords = map[discover.State]string{
	discover.Found: "found", discover.Absent: "none", discover.Disabled: "disabled", discover.Undetermined: unknown,
}

// unknown stands where nothing is known, in capitals so that it is seen.
const unknown = "UNKNOWN"

// roleOf returns the role of a row, with the component it is about.
func (d *Document) roleOf(r discover.Requirement) string {
	if r.Identity == d.Domain {
		return r.Role
	}
	return r.Role + " of " + r.Identity
}

// writeRow prints the endpoint of a row, the name that has to be there, and for
// which peers.
func (d *Document) writeRow(w *textfmt.Writer, r discover.Requirement) {
	needs := "any name will do"
	if len(r.Accept) > 0 {
		needs = "needs " + strings.Join(r.Accept, " or ")
	}
	if r.NoWildcard {
		needs += ", no wildcard"
	}
	strict, who := string(r.Enforcement), r.CheckedBy+", "+d.roleOf(r)
	if r.Step != "" {
		who += ", step " + r.Step
	}
	if r.Default {
		strict, who = "default", who+", "+strict
	}
	w.Item(fmt.Sprintf("  %-8s  ", strict), r.Endpoint.Full()+" "+needs)
	w.Line(12, "%s; %s", who, request(r))
	if r.Default {
		w.Line(12, "no record names it: peers try it in case there is such a server")
	}
	if r.When != "" {
		w.Line(12, "only when %s", r.When)
	}
	switch {
	case r.Why == "":
	case r.State == discover.Undetermined:
		w.Line(12, "%s: %s", unknown, r.Why)
	default:
		w.Line(12, "but %s", r.Why)
	}
}

// request says how peers connect to an endpoint, and where.
func request(r discover.Requirement) string {
	parts := []string{"no SNI"}
	if r.SNI != "" {
		parts[0] = "SNI " + r.SNI
	}
	if len(r.ALPN) > 0 {
		parts = append(parts, "ALPN "+strings.Join(r.ALPN, ","))
	}
	if n := len(r.TLSA); n > 0 {
		parts = append(parts, fmt.Sprintf("%d TLSA %s", n, textfmt.Plural(n, "record", "records")))
	}
	if len(r.AlsoSome) > 0 {
		parts = append(parts, "with DNSSEC also "+strings.Join(r.AlsoSome, " or "))
	}
	if len(r.Addrs) > 0 {
		parts = append(parts, "at "+join(r.Addrs))
	}
	return strings.Join(parts, "; ")
}

// evidenceLines returns the evidence, without addresses and defaults, which the
// row shows.
func evidenceLines(r discover.Requirement) []string {
	var texts []string
	for _, e := range r.Evidence {
		if e.Kind == discover.KindOther {
			texts = append(texts, e.What+": "+e.Says+ttlNote(e))
		}
	}
	return texts
}

// ttlNote describes for how long peers cache the evidence.
func ttlNote(e discover.Evidence) string {
	var parts []string
	if e.State == discover.Undetermined {
		parts = append(parts, unknown)
	}
	if e.Lasts > 0 && e.State != discover.Absent {
		parts = append(parts, "for "+textfmt.Duration(e.Lasts))
	}
	if e.Secure {
		parts = append(parts, "DNSSEC")
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// writeNeeds prints the names that certificates need, and the configuration.
func (d *Document) writeNeeds(w *textfmt.Writer) {
	w.Blank()
	if len(d.Needs) == 0 {
		w.Line(0, "needs: no name is known to be needed")
		return
	}
	w.Line(0, "needs: the names, where a certificate has to show them, and the challenge for each")
	var unchecked []string
	for _, n := range d.Needs {
		if n.Enforcement == discover.Info {
			unchecked = append(unchecked, n.Name)
			continue
		}
		n.WriteUses(w)
		w.Item("    challenge ", n.Challenge+": "+n.Why)
	}
	if len(unchecked) > 0 {
		w.Line(2, "not checked by peers today: %s", strings.Join(unchecked, ", "))
	}
	if d.undetermined() > 0 {
		w.Line(2, "and what the services marked %s need", unknown)
	}
	if d.Config != "" {
		w.Blank()
		w.Line(0, "a configuration for them, if these servers are yours:")
		w.Verbatim(4, d.Config)
	}
	w.List("left out, with the reason", d.LeftOut)
}

// WriteUses prints a name and the endpoints that need it.
func (n Need) WriteUses(w *textfmt.Writer) {
	w.Line(2, "%s", n.Name)
	if len(n.At) == 0 {
		w.Item("    should   ", "the server's own name: users and programs connect to it")
	}
	for _, u := range n.At {
		strict := string(u.Enforcement)
		if u.Default {
			strict = "default"
		}
		w.Item(fmt.Sprintf("    %-7s  ", strict), u.Endpoint.Full()+" ("+strings.Join(u.Roles, ", ")+")")
	}
}

// undetermined returns the number of rows that are undetermined.
func (d *Document) undetermined() (n int) {
	for _, r := range d.Requirements {
		if r.State == discover.Undetermined {
			n++
		}
	}
	return n
}

// Err returns nil for an answer that is complete and has no errors in it. The
// remedy is that of the first error.
func (d *Document) Err() error {
	var parts []string
	failed, remedy := 0, ""
	for _, p := range d.Problems {
		if p.Error {
			if failed++; remedy == "" {
				remedy = p.Remedy
			}
		}
	}
	if failed > 0 {
		parts = append(parts, fmt.Sprintf("%d %s away", failed, textfmt.Plural(failed, "problem turns peers", "problems turn peers")))
	}
	if n := d.undetermined(); n > 0 {
		parts = append(parts, fmt.Sprintf("%d %s could not be determined", n, textfmt.Plural(n, "row", "rows")))
	}
	if len(parts) == 0 {
		return nil
	}
	if remedy == "" {
		remedy = "ask again, or ask another resolver with -resolver; look at documents from another network"
	}
	return problem.New(d.Domain+": "+strings.Join(parts, ", "), remedy)
}
