package discover

import (
	"context"
	"net/http"
	"strings"

	"github.com/miekg/dns"
)

// findWeb finds the plain web server of a domain, and of "www" if there is one.
func findWeb(ctx context.Context, l *lookup, s *section) {
	for _, host := range []string{l.name.Host, "www." + l.name.Host} {
		row := Requirement{
			Role: "web", CheckedBy: "browsers", Enforcement: Must,
			SNI: host, Accept: []string{host}, HostHeader: host,
			Evidence: []Evidence{{What: "https://" + host + "/", Says: "port 443", Spec: "RFC 9110, 4.2.2 and 4.3.4"}},
		}
		if at := l.addresses(ctx, host); at.state != Found {
			s.none(row, at.state, at.why, at.evidence...)
			if at.state == Absent && host == l.name.Host && strings.HasSuffix(at.why, "(NXDOMAIN)") {
				s.fail("see that it is spelled right, and registered", "%s", at.why)
			}
			continue
		}
		addLocated(ctx, l, s, row, "https", host, 443)
	}
}

// davServices of RFC 6764. Without TLS there is no certificate to look at.
var davServices = []struct{ name, role string }{
	{"caldav", "CalDAV"},
	{"carddav", "CardDAV"},
}

// dav finds calendars and address books (RFC 6764, section 6): by SRV records,
// or else by a well-known URL of the domain itself.
func findDAV(ctx context.Context, l *lookup, s *section) {
	for _, d := range davServices {
		row := Requirement{Role: d.role, CheckedBy: "calendar programs", Enforcement: Must}
		set := l.srv(ctx, "_"+d.name+"s._tcp."+l.name.Host)
		if set.stop() {
			addDAVTargets(ctx, l, s, row, set, l.name.Host)
			continue
		}
		row.Evidence = append(row.Evidence, set.evidence("RFC 6764, 3"))
		addDAVWellKnown(ctx, l, s, row, d.name, l.name.Host)
	}
}

// davRecords: a target within the domain is checked by its own name. One that
// is not may be checked by an SRV-ID, which public CAs do not certify, or by
// the domain (RFC 6764, section 8).
func addDAVTargets(ctx context.Context, l *lookup, s *section, row Requirement, set srvSet, domain string) {
	const spec = "RFC 6764, 3 and 8"
	outside := set
	outside.targets = nil
	inside := set
	inside.targets = nil
	for _, t := range set.targets {
		if within(t.host, domain) {
			inside.targets = append(inside.targets, t)
		} else {
			outside.targets = append(outside.targets, t)
		}
	}
	txt := l.resolve(ctx, set.name, dns.TypeTXT).evidence("RFC 6764, 4")
	for _, t := range inside.targets {
		one := row
		one.SNI, one.Accept, one.HostHeader = t.host, []string{t.host}, hostPort(t.host, t.port)
		one.Evidence = []Evidence{set.evidence(spec), txt}
		at := addLocated(ctx, l, s, one, "https", t.host, t.port)
		reportTarget(s, "SRV "+set.name, t.host, at, "RFC 2782")
	}
	if len(outside.targets) > 0 || set.state != Found {
		addByHostOrDomain(ctx, l, s, row, "https", outside, domain, spec)
	}
}

// davWellKnown looks at https://domain/.well-known/caldav. A page that is
// there redirects, or wants a password.
func addDAVWellKnown(ctx context.Context, l *lookup, s *section, row Requirement, service, domain string) {
	const spec = "RFC 6764, 5 and 6"
	row.SNI, row.Accept, row.HostHeader, row.Enforcement = domain, []string{domain}, domain, Info
	doc := fetch(ctx, l, s, domain, "/.well-known/"+service, readDAV)
	addDocument(s, doc, row, spec)
	reportDocument(s, doc)
	row.Enforcement = Must
	addRedirects(ctx, l, s, doc, row)
}

// readDAV tells a page that is there from one that is not.
func readDAV(p page) (string, any, error) {
	switch {
	case len(p.via) > 0:
		return "redirects to " + p.url.String(), true, nil
	case p.status == http.StatusNotFound, p.status == http.StatusGone, p.status >= 500:
		return "", nil, errStatus(p.status)
	case p.status == http.StatusOK:
		return "", nil, errStatus(p.status) // some web page: RFC 6764, section 5, wants a redirect
	}
	return "wants a password or another method", true, nil
}
