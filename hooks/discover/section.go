package discover

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"keypaird/hooks/discover/records"
	"keypaird/hooks/discover/web"
	"keypaird/renew/textfmt"
)

// A lookup holds the domain and the clients that finders use.
type lookup struct {
	*records.Resolver
	*web.Fetcher
	name       records.ServerName // the domain
	components []string
	asks       bool // the homeservers for their names
	supposed   *Supposition
}

// A Supposition replaces the records and documents published today.
type Supposition struct {
	Document *records.ServerName // m.server; nil: no such document
	Client   string              // base_url of the client document; empty: as published
	SRV      *records.ServerName // target of the SRV records of Matrix; nil: as published
}

// A section collects what one finder finds, in order. Only one goroutine uses it at
// a time.
type section struct {
	service   string
	identity  string
	rows      []Requirement
	documents []web.Document
	problems  []Problem
}

// fail adds a problem that stops some peers.
func (s *section) fail(remedy, format string, args ...any) {
	s.problem(Problem{Service: s.service, Error: true, Text: fmt.Sprintf(format, args...), Remedy: remedy})
}

// warn adds a problem that does little harm today.
func (s *section) warn(remedy, format string, args ...any) {
	s.problem(Problem{Service: s.service, Text: fmt.Sprintf(format, args...), Remedy: remedy})
}

// doubt adds a problem that leaves something unknown, so that no change is safe.
func (s *section) doubt(remedy, format string, args ...any) {
	s.problem(Problem{Service: s.service, Text: fmt.Sprintf(format, args...), Remedy: remedy, Unsure: true})
}

// unanswered warns of a DNS query without an answer. A row has the same text.
func (s *section) unanswered(text string) {
	s.problem(Problem{Service: s.service, Text: text, Remedy: "ask again, or ask another resolver", InRow: true})
}

func (s *section) problem(p Problem) {
	p.Text = textfmt.OneLine(p.Text, 0)
	if !slices.Contains(s.problems, p) {
		s.problems = append(s.problems, p)
	}
}

// add adds a row, unless there is one that requires the same at least as strictly.
func (s *section) add(row Requirement) {
	row.Service = s.service
	if row.Identity == "" {
		row.Identity = s.identity
	}
	for i, old := range s.rows {
		if row.Endpoint.Host == "" || row.Role != old.Role || row.State != old.State || !row.same(old) {
			continue
		}
		if row.Enforcement.Compare(old.Enforcement) < 0 {
			s.rows[i] = row
		}
		return
	}
	s.rows = append(s.rows, row)
}

// none adds the row of a service that has no endpoint.
func (s *section) none(row Requirement, state records.State, why string, led ...records.Evidence) {
	row.State, row.Why, row.Endpoint = state, why, Place{}
	row.Evidence = append(slices.Clone(row.Evidence), led...)
	row.SNI, row.Accept, row.HostHeader, row.ALPN, row.Enforcement, row.CheckedBy = "", nil, "", nil, "", ""
	s.add(row)
}

// noneBySRV adds the row of a service without an endpoint in its SRV records.
func (s *section) noneBySRV(row Requirement, set records.SRVSet) {
	switch set.State {
	case records.Absent:
		row.Reason = "no SRV record (" + set.Why + ")"
	case records.Undetermined:
		row.Reason = set.Why
	}
	s.none(row, set.State, set.Reason())
}

// noneAt adds the row of a service on a host without an address.
func (s *section) noneAt(row Requirement, at records.Site) {
	row.Reason = at.Reason
	s.none(row, at.State, at.Why, at.Evidence...)
}

// addLocated adds a row for an endpoint, with its addresses.
func addLocated(ctx context.Context, l *lookup, s *section, row Requirement, proto, host string, port uint16) records.Site {
	at := l.Addresses(ctx, host)
	row.Endpoint = Place{Proto: proto, Host: host, Port: port}
	row.State, row.Why, row.Addrs, row.Alias = at.State, at.Why, at.Addrs, at.Alias
	row.Evidence = append(slices.Clone(row.Evidence), at.Evidence...)
	s.add(row)
	if at.Incomplete != "" {
		s.doubt("ask again, or ask another resolver", "not all addresses of %s are known: %s", host, at.Incomplete)
	}
	return at
}

// addTargets adds a row for each target of an SRV set and reports their faults. An SRV
// set that was not found gives one row that says so.
func addTargets(ctx context.Context, l *lookup, s *section, row Requirement, proto string, set records.SRVSet, spec string) {
	row.Evidence = append(slices.Clone(row.Evidence), set.Evidence(spec))
	reportSet(s, set)
	if set.State != records.Found {
		s.noneBySRV(row, set)
		return
	}
	l.PrefetchTargets(ctx, set)
	for _, t := range set.Targets {
		at := addLocated(ctx, l, s, row, proto, t.Host, t.Port)
		reportTarget(s, "SRV "+set.Name, t.Host, at, "RFC 2782")
	}
}

func reportSet(s *section, set records.SRVSet) {
	for _, f := range set.Faults {
		s.fail("correct the record", "%s", f)
	}
	if set.State == records.Undetermined {
		s.unanswered(set.Reason())
	}
}

// reportTarget reports a target of SRV or MX records that has no address or is an
// alias.
func reportTarget(s *section, record, host string, at records.Site, rfc string) {
	switch {
	case at.Alias != "":
		s.warn(fmt.Sprintf("name %s in the record", at.Alias),
			"%s names %s, which is an alias of %s: %s forbids it and some peers refuse it", record, host, at.Alias, rfc)
	case at.State == records.Absent:
		s.fail("publish its address or correct the record", "%s names %s: %s", record, host, at.Why)
	}
}

// reportDead reports a document that names a host without an address.
func reportDead(s *section, what, why, host string) {
	s.fail("publish its address or correct the document", "%s names %s: %s", what, host, why)
}

// fetch fetches a well-known document of a host and adds it.
func fetch(ctx context.Context, l *lookup, s *section, host, path string, read web.Parser) *web.Document {
	return s.keep(l.Document(ctx, host, path, true, web.MaxDocument, read))
}

// keep adds a document.
func (s *section) keep(d web.Document) *web.Document {
	d.Service = s.service
	s.documents = append(s.documents, d)
	return &d
}

// addDocument adds the row of the host that serves a document.
func addDocument(s *section, d *web.Document, row Requirement, spec string) {
	row.Endpoint, row.Addrs, row.Alias = Place{"https", row.Accept[0], 443}, d.Site.Addrs, d.Site.Alias
	row.State, row.Why = d.State, d.Why
	if d.State == records.Found || d.Untrusted() != nil {
		row.Enforcement = Must
	}
	row.Evidence = slices.Concat(row.Evidence, d.Site.Evidence, []records.Evidence{d.Evidence(spec)})
	s.add(row)
}

// reportDocument reports faults of a document that do not depend on its content.
func reportDocument(s *section, d *web.Document) {
	if d.Split {
		s.fail("serve the same document on every address, or take the address out of DNS",
			"the addresses of %s serve different documents: %s", d.URL, d.Summary())
	}
	for _, v := range d.Fetches {
		if v.NoHost != "" {
			s.fail("publish its address or correct the redirect", "%s redirects to %s: %s",
				web.Clean(v.Via[len(v.Via)-1].URL.String()), web.Clean(v.URL.String()), v.NoHost)
		}
	}
	if v := d.Untrusted(); v != nil {
		s.fail("renew or correct the certificate of that host",
			"%s: peers reject the document from %s: its certificate is not trusted: %s", d.URL, v.Holder(), v.Untrusted)
	}
	if list := d.Undetermined(); len(list) > 0 {
		s.doubt("retry from another network", "%s could not be checked from here: %s", d.URL, strings.Join(list, "; "))
	}
	if d.Site.Incomplete != "" {
		s.doubt("ask again, or ask another resolver", "not all addresses of %s are known: %s", d.URL, d.Site.Incomplete)
	}
}

// addRedirects adds a row for every host that a redirect to a document led to: each has
// its own certificate.
func addRedirects(ctx context.Context, l *lookup, s *section, d *web.Document, row Requirement) {
	for _, v := range d.Fetches {
		if v.State == records.Absent && v.Value == nil {
			continue // there is no document at the end
		}
		hops := v.Hops()
		for i, h := range hops {
			host := h.URL.Hostname()
			if i == 0 || host == hops[0].URL.Hostname() {
				continue
			}
			port, _ := web.PortOf(h.URL) // fetch has checked it
			led := row
			led.From = row.Role
			led.Role += " redirect"
			led.SNI, led.Accept, led.HostHeader = sni(host), []string{host}, records.HostPort(host, port)
			led.Evidence = append(slices.Clone(row.Evidence), records.Evidence{
				What: web.Clean(hops[i-1].URL.String()), Says: fmt.Sprintf("%d, redirects to %s", hops[i-1].Code, web.Clean(h.URL.String())), From: v.Addr.String(), Spec: "RFC 9110, 15.4",
			})
			addLocated(ctx, l, s, led, "https", host, port)
		}
	}
}

// sentence joins the reasons that are not empty.
func sentence(reasons ...string) string {
	return strings.Join(slices.DeleteFunc(slices.Clone(reasons), func(s string) bool { return s == "" }), "; ")
}

// sni returns the server name for a host: none for an IP address (RFC 6066, 3).
func sni(host string) string {
	if _, err := netip.ParseAddr(host); err == nil {
		return ""
	}
	return host
}
