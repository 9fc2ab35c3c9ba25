package discover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
	"unicode/utf8"

	"keypaird/hooks/discover/records"
	"keypaird/hooks/discover/web"
)

// federationPort is the port of homeservers without SRV records.
const federationPort = 8448

// How long peers cache a well-known document (Matrix server-server API, server
// discovery, step 3).
const (
	wellKnownDefault = 24 * time.Hour
	WellKnownMax     = 48 * time.Hour
	WellKnownRetry   = time.Hour
)

// inStep returns the specification of a step of server discovery.
func inStep(step string) string { return "Matrix server-server API, server discovery, step " + step }

// findFederation follows the steps of server discovery.
func findFederation(ctx context.Context, l *lookup, s *section) {
	row := Requirement{Role: "federation", CheckedBy: "Matrix servers", Enforcement: Must}
	switch {
	case l.name.IP.IsValid():
		addServerName(ctx, l, s, row, "1", l.name)
	case l.name.Port != 0:
		addServerName(ctx, l, s, row, "2", l.name)
	default:
		addDelegation(ctx, l, s, row, l.name.Host)
	}
	if l.asks && l.supposed == nil {
		checkKeys(ctx, l, s)
	}
}

// addServerName adds the row of a server name that needs no further queries.
func addServerName(ctx context.Context, l *lookup, s *section, row Requirement, step string, name records.ServerName) {
	row.Step, row.SNI, row.Accept, row.HostHeader = step, sni(name.Host), []string{name.Host}, name.String()
	port := name.Port
	says := "has a port"
	if port == 0 {
		port, says = federationPort, "has no port: 8448"
	}
	row.Evidence = append(slices.Clone(row.Evidence), records.Evidence{What: "server name " + name.String(), Says: says, Spec: inStep(step)})
	at := addLocated(ctx, l, s, row, "https", name.Host, port)
	if at.State == records.Absent && step != "2" {
		reportDead(s, "m.server", at.Why, name.Host)
	}
}

// addDelegation follows steps 3 to 6.
func addDelegation(ctx context.Context, l *lookup, s *section, row Requirement, host string) {
	doc := fetchDelegation(ctx, l, s, host)
	led := doc.Evidence(inStep("3"))
	row.Evidence = []records.Evidence{led}
	for _, v := range doc.Good() {
		one := row
		if doc.Split {
			one.When = "a peer reaches an address that serves this document"
		}
		addDelegated(ctx, l, s, one, v.Value.(records.ServerName))
	}
	missing := slices.ContainsFunc(doc.Fetches, func(v web.Fetch) bool { return v.State == records.Absent })
	switch {
	case doc.State == records.Found && missing:
		row.When = "a peer reaches an address that does not serve the well-known document"
	case doc.State == records.Found:
		row.When, row.Enforcement = "the well-known document cannot be fetched", Should
	case doc.State == records.Undetermined:
		row.When = "the well-known document cannot be fetched (undetermined)"
	}
	addBySRV(ctx, l, s, row, host, [3]string{"4", "5", "6"})
}

// addDelegated follows steps 3.1 to 3.5.
func addDelegated(ctx context.Context, l *lookup, s *section, row Requirement, to records.ServerName) {
	switch {
	case to.IP.IsValid():
		addServerName(ctx, l, s, row, "3.1", to)
	case to.Port != 0:
		addServerName(ctx, l, s, row, "3.2", to)
	default:
		addBySRV(ctx, l, s, row, to.Host, [3]string{"3.3", "3.4", "3.5"})
	}
}

// addBySRV finds the servers of a name by SRV records, the registered service
// before the deprecated one, or at the default port. The certificate must always have
// the name, never a target.
func addBySRV(ctx context.Context, l *lookup, s *section, row Requirement, host string, steps [3]string) {
	row.SNI, row.Accept, row.HostHeader = host, []string{host}, host
	for i, service := range []string{"_matrix-fed._tcp.", "_matrix._tcp."} {
		row.Step = steps[i]
		set := l.SRV(ctx, service+host)
		if set.Decisive() {
			if i == 1 && set.State == records.Found {
				s.warn("publish the same records for _matrix-fed._tcp."+host+" too",
					"SRV %s%s is deprecated: future peers may not query it", service, host)
			}
			addTargets(ctx, l, s, row, "https", set, inStep(steps[i]))
			return
		}
		row.Evidence = append(slices.Clone(row.Evidence), set.Evidence(inStep(steps[i])))
	}
	row.Step, row.Default = steps[2], true
	row.Evidence = append(row.Evidence, records.Evidence{Kind: records.KindDefault, What: "default of " + host, Says: fmt.Sprintf("port %d", federationPort), Spec: inStep(steps[2])})
	at := addLocated(ctx, l, s, row, "https", host, federationPort)
	if at.State == records.Absent && steps[2] == "3.5" {
		reportDead(s, "m.server", at.Why, host)
	}
}

// fetchDelegation gets /.well-known/matrix/server and adds the rows of the hosts
// that serve it.
func fetchDelegation(ctx context.Context, l *lookup, s *section, host string) *web.Document {
	row := Requirement{
		Role: "well-known", Step: "3", CheckedBy: "Matrix servers", Enforcement: Info,
		SNI: host, Accept: []string{host}, HostHeader: host,
	}
	if l.supposed != nil && host == l.name.Host {
		doc := suppose(l.Addresses(ctx, host), host, *l.supposed)
		addDocument(s, doc, row, inStep("3"))
		return doc
	}
	doc := fetch(ctx, l, s, host, "/.well-known/matrix/server", web.IfOK(readServer))
	for i := range doc.Fetches {
		v := &doc.Fetches[i]
		v.Lasts = wellKnownLife(*v, time.Now())
	}
	addDocument(s, doc, row, inStep("3"))
	reportDocument(s, doc)
	row.Enforcement = Must
	addRedirects(ctx, l, s, doc, row)
	for _, v := range doc.Fetches {
		if v.State == records.Absent && v.Status == http.StatusOK && v.Untrusted == "" && !v.IsPage() {
			s.warn("correct it, or answer 404", "%s on %s is not a valid document, so homeservers ignore it: %s", doc.URL, v.Addr, v.Why)
		}
		for _, h := range v.Via {
			if h.Code == http.StatusPermanentRedirect && v.Value != nil {
				s.warn("answer 301 instead", "%s redirects with 308, which some homeservers do not follow", h.URL)
			}
		}
	}
	return doc
}

// suppose returns the document of a Supposition.
func suppose(at records.Site, host string, sup Supposition) *web.Document {
	d := &web.Document{URL: "https://" + host + "/.well-known/matrix/server", State: records.Absent, Why: "supposed to be absent", Site: at}
	if sup.Document != nil {
		v := web.Fetch{State: records.Found, Says: "m.server " + sup.Document.String() + ", supposed", Value: *sup.Document, Lasts: wellKnownDefault}
		d.State, d.Why, d.Fetches = records.Found, "", []web.Fetch{v}
	}
	return d
}

// readServer reads the federation document.
func readServer(body []byte) (string, any, error) {
	name, err := parseDelegation(body)
	if err != nil {
		return "", nil, err
	}
	return "m.server " + name.String(), name, nil
}

// parseDelegation reads m.server. Peers parse the body as JSON whatever its
// Content-Type.
func parseDelegation(body []byte) (records.ServerName, error) {
	fields, err := object(body)
	if err != nil {
		return records.ServerName{}, err
	}
	raw, ok := fields["m.server"]
	if !ok {
		return records.ServerName{}, errors.New(`no "m.server"`)
	}
	var server string
	if err := json.Unmarshal(raw, &server); err != nil || string(raw) == "null" {
		return records.ServerName{}, errors.New(`"m.server" is not a string`)
	}
	name, err := records.ParseServerName(server)
	if err != nil {
		return records.ServerName{}, fmt.Errorf("m.server: %w", err)
	}
	return name, nil
}

// object parses a JSON object. Unlike a struct, its keys are case-sensitive.
func object(body []byte) (map[string]json.RawMessage, error) {
	var fields map[string]json.RawMessage
	switch err := json.Unmarshal(body, &fields); {
	case !utf8.Valid(body), err != nil, fields == nil:
		return nil, errors.New("not a JSON object")
	}
	return fields, nil
}

// wellKnownLife returns how long homeservers that follow the recommendations cache a
// response.
func wellKnownLife(v web.Fetch, now time.Time) time.Duration {
	if v.State != records.Found {
		return WellKnownRetry
	}
	d, known := web.Freshness(v.Header, now)
	if !known {
		return wellKnownDefault
	}
	return min(d, WellKnownMax)
}
