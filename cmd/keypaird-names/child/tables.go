package child

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"keypaird/hooks/discover"
	"keypaird/hooks/discover/report"
)

// document returns the document of an answer that d gave, with the tables of a
// configuration that has the names certified.
func document(d *discover.Discoverer, a discover.Answer) *report.Document {
	doc := report.New(a)
	doc.Supposed = d.Resolve
	if _, err := netip.ParseAddr(doc.DomainName()); err != nil {
		m := report.MachineOf(a)
		doc.Config, doc.LeftOut = tables(doc.DomainName(), a.Components, m), m.LeftOut
	}
	return doc
}

// A table is one table of a suggested configuration.
type table struct {
	head  string
	lines [][2]string // key and value
	rows  []discover.Requirement
}

func (t *table) set(key, value string) { t.lines = append(t.lines, [2]string{key, value}) }

// names sets the names, by the challenge that can work.
func (t *table) names(names []string, private bool) {
	if private {
		t.list("dns-01", names)
		t.set("dns", dnsAccount)
		return
	}
	t.list("http-01", names)
}

// list sets a key, unless the list is empty.
func (t *table) list(key string, words []string) {
	if len(words) > 0 {
		t.set(key, quotedList(words))
	}
}

const dnsAccount = `"ns" # a [dns.ns] table says how to change the zone: keypaird dns`

// tables returns the tables of a configuration that has the names certified that a
// machine of a domain serves; "" if there are none.
func tables(domain string, components []string, m report.Machine) string {
	plain := func(name string) bool { return name == domain || slices.Contains(components, name) }
	var first *table // of the domain
	var list []*table
	var private bool
	for _, n := range m.Names {
		private = private || !slices.ContainsFunc(n.Rows, func(r discover.Requirement) bool { return !report.Private(r.Addrs) })
	}
	dane := m.Host != "" && len(tlsaNames(rowsOf(m, m.Host), m.Host)) > 0
	switch {
	case m.Host != "" && !dane:
		first = &table{head: fmt.Sprintf("identity.%q", domain)}
		first.set("host", fmt.Sprintf("%q", m.Host))
		first.list("services", m.Services)
		first.list("components", components)
		first.set("dns", dnsAccount)
		if private {
			first.set("host_dns", `"ns"`)
		}
	case m.Host != "": // an [identity] has no tlsa
		first = &table{head: fmt.Sprintf("cert.%q", domain)}
		first.list("dns-01", append([]string{domain}, components...))
		first.set("dns", dnsAccount)
	case rowsOf(m, domain) != nil:
		first = &table{head: fmt.Sprintf("cert.%q", domain)}
		switch names := ownNames(domain, plain, m); {
		case private:
			first.names(append(names, components...), true)
		case len(components) > 0:
			first.list("http-01", names)
			first.names(components, true)
		default:
			first.names(names, false)
		}
		first.list("tlsa", tlsaNames(rowsOf(m, domain), domain))
	}
	for _, n := range m.Names {
		if first != nil && (plain(n.Name) || n.Name == m.Host && !dane || m.Host == "" && webOnly(n)) {
			first.rows = append(first.rows, n.Rows...)
			continue
		}
		t := &table{head: fmt.Sprintf("cert.%q", n.Name), rows: n.Rows}
		t.names([]string{n.Name}, private)
		t.list("tlsa", tlsaNames(n.Rows, n.Name))
		list = append(list, t)
	}
	if dane && rowsOf(m, m.Host) == nil { // no peer checks its name
		t := &table{head: fmt.Sprintf("cert.%q", m.Host)}
		t.names([]string{m.Host}, private)
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b *table) int { return strings.Compare(a.head, b.head) })
	if first != nil {
		list = append([]*table{first}, list...)
	}
	return format(list)
}

// rowsOf returns the rows of a name on a machine.
func rowsOf(m report.Machine, name string) []discover.Requirement {
	for _, n := range m.Names {
		if n.Name == name {
			return n.Rows
		}
	}
	return nil
}

// ownNames returns the names of the certificate of a domain that is its own server.
func ownNames(domain string, plain func(string) bool, m report.Machine) []string {
	names := []string{domain}
	for _, n := range m.Names {
		if !plain(n.Name) && webOnly(n) {
			names = append(names, n.Name)
		}
	}
	return names
}

// webOnly reports whether a web server alone serves a name.
func webOnly(n report.Served) bool {
	return !slices.ContainsFunc(n.Rows, func(r discover.Requirement) bool { return serverFor(r) != webServer })
}

// tlsaNames returns the name of the TLSA records about the key of a certificate, if
// there are any that peers use.
func tlsaNames(rows []discover.Requirement, name string) []string {
	for _, r := range rows {
		if r.SNI == name && slices.ContainsFunc(r.TLSA, func(t discover.TLSA) bool { return t.Why == "" && t.Usage == 3 }) {
			return []string{fmt.Sprintf("_%d._tcp.%s", r.Endpoint.Port, name)}
		}
	}
	return nil
}

// Servers by what they serve: the first that comes to mind of those that have a preset.
const (
	webServer  = "nginx"
	xmppServer = "prosody"
	mailServer = "postfix"
	imapServer = "dovecot"
)

// serverFor returns the preset of a server for the endpoint of a row; "": none has one.
func serverFor(r discover.Requirement) string {
	switch r.Service {
	case "sip":
		return ""
	case "xmpp":
		if !strings.HasPrefix(r.Role, "host-meta") {
			return xmppServer
		}
	case "smtp":
		if !strings.HasPrefix(r.Role, "mta-sts") {
			return mailServer
		}
	case "imap":
		switch {
		case strings.HasPrefix(r.Role, "submission"):
			return mailServer
		case !strings.HasPrefix(r.Role, "auto"):
			return imapServer
		}
	}
	return webServer
}

// format returns tables as TOML, each with the servers that it is deployed to, and a
// table for each server.
func format(list []*table) string {
	var all []*table // of servers
	for _, t := range list {
		var servers []string
		for _, r := range t.rows {
			if s := serverFor(r); s != "" && !slices.Contains(servers, s) {
				servers = append(servers, s)
			}
		}
		t.list("deploy", servers)
		for _, s := range servers {
			head := "deploy." + s
			if !slices.ContainsFunc(all, func(t *table) bool { return t.head == head }) {
				all = append(all, &table{head: head, lines: [][2]string{{"verify", quotedList(endpoints(list, s))}}})
			}
		}
	}
	var b strings.Builder
	for i, t := range append(list, all...) {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "[%s]\n", t.head)
		width := 0
		for _, l := range t.lines {
			width = max(width, len(l[0]))
		}
		for _, l := range t.lines {
			note := ""
			if i == 0 && l[0] == "deploy" {
				note = " # or other servers: keypaird deploy -list"
			}
			fmt.Fprintf(&b, "%-*s = %s%s\n", width, l[0], l[1], note)
		}
	}
	return b.String()
}

// endpoints returns where a server serves what peers request: on this machine, which can
// reach itself there.
func endpoints(list []*table, server string) []string {
	var at []string
	for _, t := range list {
		for _, r := range t.rows {
			place := r.Endpoint
			place.Host = "127.0.0.1"
			if text := place.String(); serverFor(r) == server && r.Endpoint.Host != "" && !slices.Contains(at, text) {
				at = append(at, text)
			}
		}
	}
	return at
}

func quotedList(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = fmt.Sprintf("%q", w)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
