package discover

import (
	"context"
	"net/http"
	"slices"

	"github.com/miekg/dns"

	"keypaird/hooks/discover/records"
	"keypaird/hooks/discover/web"
)

// findWeb finds the plain web server of a domain, and of "www" if there is one.
func findWeb(ctx context.Context, l *lookup, s *section) {
	for _, host := range []string{l.name.Host, "www." + l.name.Host} {
		row := Requirement{
			Role: "web", CheckedBy: "browsers", Enforcement: Must,
			SNI: host, Accept: []string{host}, HostHeader: host,
			Evidence: []records.Evidence{{What: "https://" + host + "/", Says: "port 443", Spec: "RFC 9110, 4.2.2 and 4.3.4"}},
		}
		at := l.Addresses(ctx, host)
		if host != l.name.Host {
			at = l.HostPublished(ctx, host)
		}
		if at.State != records.Found {
			s.noneAt(row, at)
			if at.NoName && at.Alias == "" && host == l.name.Host {
				s.fail("check the spelling, and that the domain is registered", "%s", at.Why)
			}
			continue
		}
		addLocated(ctx, l, s, row, "https", host, 443)
	}
}

// davServices are those of RFC 6764 that use TLS.
var davServices = []struct{ name, role string }{
	{"caldav", "CalDAV"},
	{"carddav", "CardDAV"},
}

// findDAV finds calendars and address books (RFC 6764, section 6): by SRV records,
// else by a well-known URL of the domain itself.
func findDAV(ctx context.Context, l *lookup, s *section) {
	for _, d := range davServices {
		row := Requirement{Role: d.role, CheckedBy: "calendar programs", Enforcement: Must}
		set := l.SRV(ctx, "_"+d.name+"s._tcp."+l.name.Host)
		if set.Decisive() {
			addDAVTargets(ctx, l, s, row, set, l.name.Host)
			continue
		}
		row.Evidence = append(row.Evidence, set.Evidence("RFC 6764, 3"))
		addDAVWellKnown(ctx, l, s, row, d.name, l.name.Host)
	}
}

// addDAVTargets adds rows for the targets. Peers expect the name of a target within
// the domain. For others they may expect an SRV-ID, which public CAs do not certify,
// or the domain (RFC 6764, section 8).
func addDAVTargets(ctx context.Context, l *lookup, s *section, row Requirement, set records.SRVSet, domain string) {
	const spec = "RFC 6764, 3 and 8"
	outside := set
	outside.Targets = nil
	inside := set
	inside.Targets = nil
	for _, t := range set.Targets {
		if records.Within(t.Host, domain) {
			inside.Targets = append(inside.Targets, t)
		} else {
			outside.Targets = append(outside.Targets, t)
		}
	}
	txt := l.Query(ctx, set.Name, dns.TypeTXT).Evidence("RFC 6764, 4")
	for _, t := range inside.Targets {
		one := row
		one.SNI, one.Accept, one.HostHeader = t.Host, []string{t.Host}, records.HostPort(t.Host, t.Port)
		one.Evidence = []records.Evidence{set.Evidence(spec), txt}
		at := addLocated(ctx, l, s, one, "https", t.Host, t.Port)
		reportTarget(s, "SRV "+set.Name, t.Host, at, "RFC 2782")
	}
	if len(outside.Targets) > 0 || set.State != records.Found {
		addByHostOrDomain(ctx, l, s, row, "https", outside, domain, spec)
	}
}

// addDAVWellKnown fetches https://domain/.well-known/caldav. Where the service exists,
// the URL redirects or asks for a password.
func addDAVWellKnown(ctx context.Context, l *lookup, s *section, row Requirement, service, domain string) {
	const spec = "RFC 6764, 5 and 6"
	row.SNI, row.Accept, row.HostHeader, row.Enforcement = domain, []string{domain}, domain, Info
	doc := l.Document(ctx, domain, "/.well-known/"+service, true, web.MaxDocument, readDAV)
	if doc.State == records.Found && answersAnything(ctx, l, domain, doc) {
		doc.Deny("the site answers any path in that way")
	}
	s.keep(doc)
	addDocument(s, &doc, row, spec)
	reportDocument(s, &doc)
	row.Enforcement = Must
	addRedirects(ctx, l, s, &doc, row)
}

// answersAnything reports whether a path that nobody has published leads to the same
// answers as a calendar.
func answersAnything(ctx context.Context, l *lookup, domain string, doc web.Document) bool {
	any := l.Document(ctx, domain, "/.well-known/"+l.Unpublished(), true, web.MaxDocument, readDAV)
	return any.State == records.Found && slices.EqualFunc(any.Fetches, doc.Fetches, func(a, b web.Fetch) bool {
		return a.Addr == b.Addr && a.State == b.State && a.Status == b.Status && a.Holder() == b.Holder()
	})
}

// readDAV returns an error unless the service may exist: it asks for a password, or a
// redirect has led to something other than a missing page.
func readDAV(p web.Response) (string, any, error) {
	switch {
	case p.Code == http.StatusNotFound, p.Code == http.StatusGone, p.Code == http.StatusTooManyRequests, p.Code >= 500 && p.Code != http.StatusNotImplemented:
		return "", nil, web.StatusError(p.Code)
	case p.Code == http.StatusOK && len(p.Via) == 0:
		return "", nil, web.StatusError(p.Code) // a plain web page: RFC 6764, section 5, requires a redirect
	case len(p.Via) > 0:
		return "redirects to " + p.URL.String(), true, nil
	}
	return "requires a password or another method", true, nil
}
