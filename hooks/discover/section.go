package discover

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"keypaird/renew/textfmt"
)

// A section is what one finder found, in its order. It is used by one
// goroutine at a time.
type section struct {
	service   string
	identity  string
	rows      []Requirement
	documents []Document
	problems  []Problem
}

// fail notes what turns peers away.
func (s *section) fail(remedy, format string, args ...any) {
	s.problem(Problem{Service: s.service, Error: true, Text: fmt.Sprintf(format, args...), Remedy: remedy})
}

// warn notes what is wrong and does little harm today.
func (s *section) warn(remedy, format string, args ...any) {
	s.problem(Problem{Service: s.service, Text: fmt.Sprintf(format, args...), Remedy: remedy})
}

// doubt notes what could not be found out, so that nothing may be called safe.
func (s *section) doubt(remedy, format string, args ...any) {
	s.problem(Problem{Service: s.service, Text: fmt.Sprintf(format, args...), Remedy: remedy, unsure: true})
}

func (s *section) problem(p Problem) {
	p.Text = textfmt.OneLine(p.Text, 0)
	if !slices.Contains(s.problems, p) {
		s.problems = append(s.problems, p)
	}
}

// add adds a row, unless there is one that asks the same at least as strictly.
func (s *section) add(row Requirement) {
	row.Service = s.service
	if row.Identity == "" {
		row.Identity = s.identity
	}
	for i, old := range s.rows {
		if row.Endpoint.Host == "" || row.Role != old.Role || row.State != old.State || !row.same(old) {
			continue
		}
		if rank(row.Enforcement) < rank(old.Enforcement) {
			s.rows[i] = row
		}
		return
	}
	s.rows = append(s.rows, row)
}

// none adds the row of a service that has no endpoint.
func (s *section) none(row Requirement, state State, why string, led ...Evidence) {
	row.State, row.Why, row.Endpoint = state, why, Place{}
	row.Evidence = append(slices.Clone(row.Evidence), led...)
	row.SNI, row.Accept, row.HostHeader, row.ALPN, row.Enforcement, row.CheckedBy = "", nil, "", nil, "", ""
	s.add(row)
}

// locate adds a row for an endpoint that something named, with its addresses.
func (r *run) locate(ctx context.Context, s *section, row Requirement, proto, host string, port uint16) site {
	at := r.addresses(ctx, host)
	row.Endpoint = Place{Proto: proto, Host: host, Port: port}
	row.State, row.Why, row.Addrs = at.state, at.why, at.addrs
	row.Evidence = append(slices.Clone(row.Evidence), at.evidence...)
	s.add(row)
	if at.partly != "" {
		s.doubt("ask again, or ask another resolver", "not all addresses of %s are known: %s", host, at.partly)
	}
	return at
}

// follow adds a row for each target of an SRV set that was found, and says
// what is wrong with them. An SRV set that was not found gives one row that
// says so.
func (r *run) follow(ctx context.Context, s *section, row Requirement, proto string, set srvSet, spec string) {
	row.Evidence = append(slices.Clone(row.Evidence), set.evidence(spec))
	r.faults(s, set)
	if set.state != Found {
		s.none(row, set.state, set.whyNot())
		return
	}
	r.prefetch(ctx, set)
	for _, t := range set.targets {
		at := r.locate(ctx, s, row, proto, t.host, t.port)
		r.targetFaults(s, "SRV "+set.name, t.host, at, "RFC 2782")
	}
}

func (r *run) faults(s *section, set srvSet) {
	for _, f := range set.faults {
		s.fail("correct the record", "%s", f)
	}
	if set.state == Undetermined {
		s.warn("ask again, or ask another resolver", "%s", set.whyNot())
	}
}

// targetFaults: the target of SRV and MX records has an address and is not an
// alias.
func (r *run) targetFaults(s *section, record, host string, at site, rfc string) {
	switch {
	case at.alias != "":
		s.warn(fmt.Sprintf("name %s in the record", at.alias),
			"%s names %s, which is an alias of %s: %s forbids it and some peers refuse it", record, host, at.alias, rfc)
	case at.state == Absent:
		s.fail("publish its address or correct the record", "%s names %s: %s", record, host, at.why)
	}
}

// whyNot says why there are no targets.
func (set srvSet) whyNot() string {
	return fmt.Sprintf("SRV %s: %s", set.name, set.why)
}

// stop tells whether a look-up settles the matter: only what is known to be
// absent lets peers look further.
func (set srvSet) stop() bool { return set.state != Absent }

// sentence makes one of several reasons.
func sentence(reasons ...string) string {
	return strings.Join(slices.DeleteFunc(slices.Clone(reasons), func(s string) bool { return s == "" }), "; ")
}

// clean makes one short, printable line of another machine's text.
func clean(s string) string { return textfmt.OneLine(s, 500) }
