package discover

import (
	"context"
	"net/http"

	"github.com/miekg/dns"
)

// davServices of RFC 6764. Without TLS there is no certificate to look at.
var davServices = []struct{ name, role string }{
	{"caldav", "CalDAV"},
	{"carddav", "CardDAV"},
}

// dav finds calendars and address books (RFC 6764, section 6): by SRV records,
// or else by a well-known URL of the domain itself.
func (r *run) dav(ctx context.Context, s *section, name ServerName, _ []string) {
	for _, d := range davServices {
		row := Requirement{Role: d.role, CheckedBy: "calendar programs", Enforcement: Must}
		set := r.srv(ctx, "_"+d.name+"s._tcp."+name.Host)
		if set.stop() {
			r.davRecords(ctx, s, row, set, name.Host)
			continue
		}
		row.Evidence = append(row.Evidence, set.evidence("RFC 6764, 3"))
		r.davWellKnown(ctx, s, row, d.name, name.Host)
	}
}

// davRecords: a target within the domain is checked by its own name. One that
// is not may be checked by an SRV-ID, which public CAs do not certify, or by
// the domain (RFC 6764, section 8).
func (r *run) davRecords(ctx context.Context, s *section, row Requirement, set srvSet, domain string) {
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
	txt := r.resolve(ctx, set.name, dns.TypeTXT).evidence("RFC 6764, 4")
	for _, t := range inside.targets {
		one := row
		one.SNI, one.Accept, one.HostHeader = t.host, []string{t.host}, hostPort(t.host, t.port)
		one.Evidence = []Evidence{set.evidence(spec), txt}
		at := r.locate(ctx, s, one, "https", t.host, t.port)
		r.targetFaults(s, "SRV "+set.name, t.host, at, "RFC 2782")
	}
	if len(outside.targets) > 0 || set.state != Found {
		r.byHostOrDomain(ctx, s, row, "https", outside, domain, spec)
	}
}

// davWellKnown looks at https://domain/.well-known/caldav. A page that is
// there redirects, or wants a password.
func (r *run) davWellKnown(ctx context.Context, s *section, row Requirement, service, domain string) {
	const spec = "RFC 6764, 5 and 6"
	row.SNI, row.Accept, row.HostHeader, row.Enforcement = domain, []string{domain}, domain, Info
	doc := r.fetch(ctx, s, domain, "/.well-known/"+service, true, maxDocument, readDAV)
	doc.row(s, row, spec)
	doc.reports(s)
	row.Enforcement = Must
	doc.redirected(ctx, r, s, row)
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
