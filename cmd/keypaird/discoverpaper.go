package main

import (
	"bytes"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"keypaird/hooks/discover"
	"keypaird/renew/textfmt"
)

// paperWidth is how wide a paper is, but for what cannot be broken.
const paperWidth = 92

// A paper is a text for people, whose long lines go on indented.
type paper struct{ b bytes.Buffer }

func (p *paper) text() []byte { return p.b.Bytes() }

func (p *paper) blank() { p.b.WriteByte('\n') }

// line writes words after an indent; what does not fit goes on further in.
func (p *paper) line(indent int, format string, args ...any) {
	p.hang(strings.Repeat(" ", indent), indent+2, fmt.Sprintf(format, args...))
}

// hang writes words after a lead; what does not fit goes on after an indent.
func (p *paper) hang(lead string, indent int, text string) {
	p.b.WriteString(textfmt.Wrap(lead, textfmt.OneLine(text, maxShownLine), paperWidth, indent))
}

// maxShownLine bounds what strangers can have shown of one record.
const maxShownLine = 2000

// answer writes what was found, service by service.
func (p *paper) answer(a discover.Answer, look *lookFlags) {
	p.line(0, "%s, asked of %s on %s", a.Domain, strings.Join(a.Resolvers, " and "), a.Time.Format("2006-01-02 15:04 UTC"))
	for _, name := range slices.Sorted(maps.Keys(look.resolve)) {
		p.line(0, "supposing that %s is at %s", name, list(look.resolve[name]))
	}
	for _, service := range a.Services {
		p.blank()
		p.line(0, "%s", service)
		rows := slices.DeleteFunc(slices.Clone(a.Requirements), func(r discover.Requirement) bool { return r.Service != service })
		p.service(a.Domain, rows)
	}
	p.problems(a)
}

// problems writes what a person should know beside the rows.
func (p *paper) problems(a discover.Answer) {
	begun := false
	for _, problem := range a.Problems {
		if !problem.Error && slices.ContainsFunc(a.Requirements, func(r discover.Requirement) bool { return r.Why == problem.Text }) {
			continue // a row says so
		}
		if !begun {
			p.blank()
			p.line(0, "problems")
		}
		begun = true
		kind := "warning"
		if problem.Error {
			kind = "error"
		}
		p.hang(fmt.Sprintf("  %-7s  ", kind), 11, problem.Service+": "+problem.Text)
		if problem.Remedy != "" {
			p.line(11, "remedy: %s", problem.Remedy)
		}
	}
}

// service writes the rows of one service: those that are there, one after the
// other; then in few words those that are not.
func (p *paper) service(domain string, rows []discover.Requirement) {
	var said []string
	for _, r := range rows {
		if r.Lacks() {
			continue
		}
		p.row(domain, r)
		led := evidenceLines(r)
		if slices.Equal(led, said) {
			continue // it has just been said
		}
		said = led
		for _, text := range led {
			p.hang("            - ", 14, text)
		}
	}
	p.missing(domain, rows)
}

// missing writes the rows without an endpoint, those of one reason together.
func (p *paper) missing(domain string, rows []discover.Requirement) {
	type reason struct {
		state discover.State
		why   string
	}
	same := map[reason][]discover.Requirement{}
	var order []reason
	for _, r := range rows {
		if !r.Lacks() {
			continue
		}
		k := reason{r.State, whyShort(r)}
		if same[k] == nil {
			order = append(order, k)
		}
		same[k] = append(same[k], r)
	}
	for _, k := range order {
		why := k.why
		if len(same[k]) == 1 && k.state != discover.Absent {
			why = same[k][0].Why
		}
		var roles []string
		for _, r := range same[k] {
			roles = append(roles, roleIn(domain, r))
		}
		p.hang(fmt.Sprintf("  %-8s  ", stateWords[k.state]), 12, strings.Join(slices.Compact(roles), ", ")+": "+why)
	}
}

// stateWords say what a row without an endpoint is.
var stateWords = map[discover.State]string{
	discover.Found: "found", discover.Absent: "none", discover.Disabled: "disabled", discover.Undetermined: unknown,
}

// unknown stands where nothing is known, so that it is seen.
const unknown = "UNKNOWN"

// roleIn is the role of a row, with the component it is about.
func roleIn(domain string, r discover.Requirement) string {
	if r.Identity == domain {
		return r.Role
	}
	return r.Role + " of " + r.Identity
}

// whyShort is why a row has no endpoint, in words that many rows share.
func whyShort(r discover.Requirement) string {
	if r.State == discover.Undetermined {
		if _, reason, ok := strings.Cut(r.Why, ": "); ok {
			return reason // behind the question
		}
	}
	if r.State != discover.Absent {
		return r.Why
	}
	if _, reason, ok := strings.Cut(r.Why, ": "); ok && strings.HasPrefix(r.Why, "SRV ") && !strings.Contains(reason, "SRV") {
		return "no SRV record (" + reason + ")"
	}
	if _, reason, ok := strings.Cut(r.Why, " does not exist ("); ok && r.Endpoint.Host == "" {
		return "no such name (" + reason
	}
	return r.Why
}

// row writes the endpoint of a row, the name that has to be there, and for whom.
func (p *paper) row(domain string, r discover.Requirement) {
	needs := "any name will do"
	if len(r.Accept) > 0 {
		needs = "needs " + strings.Join(r.Accept, " or ")
	}
	if r.NoWildcard {
		needs += ", no wildcard"
	}
	strict, who := string(r.Enforcement), r.CheckedBy+", "+roleIn(domain, r)
	if r.Step != "" {
		who += ", step " + r.Step
	}
	if r.Default {
		strict, who = "default", who+", "+strict
	}
	p.hang(fmt.Sprintf("  %-8s  ", strict), 12, r.Endpoint.Full()+" "+needs)
	p.line(12, "%s; %s", who, shown(r))
	if r.Default {
		p.line(12, "no record names it: peers try it, should there be such a server")
	}
	if r.When != "" {
		p.line(12, "only when %s", r.When)
	}
	switch {
	case r.Why == "":
	case r.State == discover.Undetermined:
		p.line(12, "%s: %s", unknown, r.Why)
	default:
		p.line(12, "but %s", r.Why)
	}
}

// shown is how a peer asks at an endpoint, and where that is.
func shown(r discover.Requirement) string {
	parts := []string{"no SNI"}
	if r.SNI != "" {
		parts[0] = "SNI " + r.SNI
	}
	if len(r.ALPN) > 0 {
		parts = append(parts, "ALPN "+strings.Join(r.ALPN, ","))
	}
	if len(r.TLSA) > 0 {
		parts = append(parts, fmt.Sprintf("%d TLSA %s", len(r.TLSA), plural(len(r.TLSA), "record", "records")))
	}
	if len(r.AlsoSome) > 0 {
		parts = append(parts, "for those who trust DNSSEC also "+strings.Join(r.AlsoSome, " or "))
	}
	if len(r.Addrs) > 0 {
		parts = append(parts, "at "+list(r.Addrs))
	}
	return strings.Join(parts, "; ")
}

// evidenceLines returns the evidence, without addresses and defaults.
func evidenceLines(r discover.Requirement) []string {
	var texts []string
	for _, e := range r.Evidence {
		if e.Kind == discover.KindOther { // the row shows the others
			texts = append(texts, e.What+": "+e.Says+ttlNote(e))
		}
	}
	return texts
}

// ttlNote says for how long peers go on with what they have seen.
func ttlNote(e discover.Evidence) string {
	var parts []string
	if e.State == discover.Undetermined {
		parts = append(parts, unknown)
	}
	if e.Lasts > 0 && e.State != discover.Absent {
		parts = append(parts, "for "+inWords(e.Lasts))
	}
	if e.Secure {
		parts = append(parts, "DNSSEC")
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// inWords writes a duration without the zeros.
func inWords(d time.Duration) string {
	s := d.Round(time.Second).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func list(addrs []netip.Addr) string {
	texts := make([]string, len(addrs))
	for i, a := range addrs {
		texts[i] = a.String()
	}
	return strings.Join(texts, ", ")
}
