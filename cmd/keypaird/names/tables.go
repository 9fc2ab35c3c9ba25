package names

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"keypaird/acme"
	"keypaird/hooks/discover"
	"keypaird/hooks/discover/report"
)

// Document returns the document of an answer that d gave, with the tables of a
// configuration that has the names certified.
func Document(d *discover.Discoverer, a discover.Answer) *report.Document {
	doc := report.New(a)
	doc.Config, doc.Supposed = tables(doc), d.Resolve
	return doc
}

// tables returns the tables of a configuration that has the names certified that
// a domain needs; "" if there are none, or if the domain is an address.
func tables(d *report.Document) string {
	domain := d.DomainName()
	if _, err := netip.ParseAddr(domain); err == nil {
		return ""
	}
	if d.Host == "" {
		return ownTable(domain, d.Needs)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "[identity.%q]\nhost       = %q\n", domain, d.Host)
	if len(d.AtHost) > 0 {
		fmt.Fprintf(&b, "services   = %s\n", quotedList(d.AtHost))
	}
	if len(d.Components) > 0 {
		fmt.Fprintf(&b, "components = %s\n", quotedList(d.Components))
	}
	b.WriteString("dns        = \"ns\"      # a [dns.ns] table says how to change the zone: keypaird dns\n")
	b.WriteString("deploy     = [\"nginx\"] # or another server: keypaird deploy -list\n")
	for _, n := range d.Needs {
		identity := n.Name == domain || n.Name == d.Host || slices.Contains(d.Components, n.Name)
		if !identity && n.Enforcement != discover.Info && n.Challenge == acme.HTTP01 && n.AtHost {
			fmt.Fprintf(&b, "\n[cert.%q]\nhttp-01 = [%q]\ndeploy  = [\"nginx\"]\n", n.Name, n.Name)
		}
	}
	return b.String()
}

// ownTable returns the table of a domain that is its own server.
func ownTable(domain string, needs []report.Need) string {
	var names []string
	for _, n := range needs {
		if n.Enforcement != discover.Info && n.Challenge == acme.HTTP01 && n.Own {
			names = append(names, n.Name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf("[cert.%q]\nhttp-01 = %s\ndeploy  = [\"nginx\"] # or another server: keypaird deploy -list\n", domain, quotedList(names))
}

func quotedList(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = fmt.Sprintf("%q", w)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
