package discover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"keypaird/hooks/discover/records"
	"keypaird/hooks/discover/web"
)

const clientSpec = "Matrix client-server API, well-known URIs"

// A clientDocument is the content of /.well-known/matrix/client.
type clientDocument struct {
	base     *url.URL
	identity *url.URL   // nil: none
	foci     []*url.URL // of calls; not in the specification yet (MSC4143)
}

// findMatrixClient follows the steps that clients use to find their homeserver.
func findMatrixClient(ctx context.Context, l *lookup, s *section) {
	row := Requirement{
		Role: "client well-known", CheckedBy: "Matrix clients", Enforcement: Info,
		SNI: sni(l.name.Host), Accept: []string{l.name.Host}, HostHeader: records.HostPort(l.name.Host, 443),
	}
	var doc *web.Document
	if l.supposed != nil && l.supposed.Client != "" {
		doc = supposeClient(l.Addresses(ctx, l.name.Host), l.name.Host, l.supposed.Client)
	} else {
		doc = fetch(ctx, l, s, l.name.Host, "/.well-known/matrix/client", web.IfOK(readClient))
	}
	addDocument(s, doc, row, clientSpec+", 3")
	reportDocument(s, doc)
	for _, v := range doc.Fetches {
		reportClient(s, v)
		if v.IsPage() && hasServer(ctx, l) {
			s.warn("serve a valid document, or answer 404", "%s on %s: clients stop with an error: a page is served to any path", v.URL, v.Addr)
		}
	}
	row.Enforcement = Must
	addRedirects(ctx, l, s, doc, row)
	for _, v := range doc.Good() {
		c := v.Value.(clientDocument)
		led := doc.Evidence(clientSpec + ", 3")
		addURL(ctx, l, s, "client", Must, "Matrix clients", c.base, led)
		addURL(ctx, l, s, "identity server", Should, "Matrix clients", c.identity, led)
		for _, u := range c.foci {
			addURL(ctx, l, s, "rtc focus", Should, "Matrix clients", u, led)
		}
		if l.asks && l.supposed == nil {
			checkVersions(ctx, l, s, c.base)
		}
	}
}

// reportClient reports why clients cannot use the response from one address.
func reportClient(s *section, v web.Fetch) {
	if len(v.Via) > 0 && (v.State != records.Absent || v.Value != nil) {
		s.warn("serve the document at that URL itself",
			"%s redirects: clients follow that only since Matrix 1.20", v.Via[0].URL)
	}
	if v.State == records.Absent && v.Status != 0 && v.Status != http.StatusNotFound && v.Value == nil && !v.IsPage() {
		s.fail("serve a valid document, or answer 404",
			"%s on %s: clients stop with an error: %s", v.URL, v.Addr, v.Why)
	}
	for _, h := range v.Hops() {
		if v.State == records.Found && h.Header != nil && h.Header.Get("Access-Control-Allow-Origin") == "" {
			s.warn("send Access-Control-Allow-Origin: *", "%s has no CORS headers: clients in browsers cannot read it", h.URL)
		}
	}
}

// hasServer reports whether records name a homeserver.
func hasServer(ctx context.Context, l *lookup) bool {
	return slices.ContainsFunc([]string{"_matrix-fed._tcp.", "_matrix._tcp."}, func(service string) bool {
		return l.SRV(ctx, service+l.name.Host).State == records.Found
	})
}

// supposeClient returns the client document of a Supposition.
func supposeClient(at records.Site, host, base string) *web.Document {
	d := &web.Document{URL: "https://" + host + "/.well-known/matrix/client", State: records.Found, Site: at}
	u, err := parseURL(base, "https")
	if err != nil {
		d.State, d.Why = records.Absent, err.Error()
		return d
	}
	d.Fetches = []web.Fetch{{State: records.Found, Says: "base_url " + base + ", supposed", Value: clientDocument{base: u}}}
	return d
}

// addURL adds the row of a URL, unless it is nil.
func addURL(ctx context.Context, l *lookup, s *section, role string, how Strictness, who string, u *url.URL, led records.Evidence) {
	if u == nil {
		return
	}
	port, _ := web.PortOf(u) // parseURL has checked it
	host := u.Hostname()
	at := addLocated(ctx, l, s, Requirement{
		Role: role, Enforcement: how, CheckedBy: who, SNI: sni(host), Accept: []string{host},
		HostHeader: records.HostPort(host, port), Evidence: []records.Evidence{led},
	}, "https", host, port)
	if at.State == records.Absent {
		reportDead(s, led.What, at.Why, host)
	}
}

// readClient reads the client document.
func readClient(body []byte) (string, any, error) {
	c, err := parseClient(body)
	if err != nil {
		return "", nil, err
	}
	says := "base_url " + c.base.String()
	for _, u := range append([]*url.URL{c.identity}, c.foci...) {
		if u != nil {
			says += ", " + u.String()
		}
	}
	return says, c, nil
}

func parseClient(body []byte) (c clientDocument, err error) {
	fields, err := object(body)
	if err != nil {
		return c, err
	}
	base, found, err := urlIn(fields, "m.homeserver", "base_url")
	switch {
	case err != nil:
		return c, err
	case !found:
		return c, errors.New(`no "m.homeserver" with a "base_url"`)
	}
	c.base = base
	if _, there := fields["m.identity_server"]; there {
		switch c.identity, found, err = urlIn(fields, "m.identity_server", "base_url"); {
		case err != nil:
			return c, err
		case !found:
			return c, errors.New(`"m.identity_server" has no "base_url"`)
		}
	}
	var foci []map[string]json.RawMessage
	if json.Unmarshal(fields["org.matrix.msc4143.rtc_foci"], &foci) == nil {
		for _, f := range foci[:min(len(foci), records.MaxRecords)] {
			if u, found, err := urlOf(f["livekit_service_url"]); found && err == nil {
				c.foci = append(c.foci, u)
			}
		}
	}
	return c, nil
}

// urlIn reads a URL from an object within an object.
func urlIn(fields map[string]json.RawMessage, outer, inner string) (*url.URL, bool, error) {
	in, err := object(fields[outer])
	if err != nil {
		return nil, false, nil
	}
	u, found, err := urlOf(in[inner])
	if err != nil {
		err = fmt.Errorf("%q of %q: %w", inner, outer, err)
	}
	return u, found, err
}

func urlOf(raw json.RawMessage) (u *url.URL, found bool, err error) {
	var text string
	if json.Unmarshal(raw, &text) != nil || text == "" {
		return nil, false, nil
	}
	u, err = parseURL(text, "https")
	return u, err == nil, err
}

// parseURL parses a URL with one of the schemes.
func parseURL(text string, schemes ...string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(text))
	switch {
	case err != nil || u.Host == "":
		return nil, fmt.Errorf("%.200q is not a URL", text)
	case !slices.Contains(schemes, u.Scheme):
		return nil, fmt.Errorf("%.200q is not an %s URL", text, strings.Join(schemes, " or "))
	case web.NotURLHost(u):
		return nil, fmt.Errorf("%.200q has no valid host", text)
	}
	u.User, u.Host = nil, strings.ToLower(u.Host)
	return u, nil
}
