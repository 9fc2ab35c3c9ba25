package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"keypaird/acme"
	"keypaird/cmd/keypaird/config"
	"keypaird/hooks/discover"
)

// A nameNeed is a name that a certificate needs, and how keypaird would get it.
type nameNeed struct {
	Name        string              `json:"name"`
	Enforcement discover.Strictness `json:"enforcement"`         // the strictest there is
	At          []useOfName         `json:"at"`                  // nowhere: for whoever is told the name
	Challenge   string              `json:"challenge,omitempty"` // type; empty: not for keypaird to solve
	Why         string              `json:"why"`
}

// A useOfName is one endpoint that has to show a name.
type useOfName struct {
	Endpoint    discover.Place      `json:"endpoint"`
	Enforcement discover.Strictness `json:"enforcement"`
	Roles       []string            `json:"roles"`
	Default     bool                `json:"default,omitempty"` // nothing names the endpoint
}

// needsOf turns an answer around: the names, where each has to be shown, and
// how it would be validated. Names that nobody minds come last.
func needsOf(a discover.Answer) []nameNeed {
	host := hostOf(a)
	needs := []nameNeed{}
	for _, n := range a.Needs() {
		need := nameNeed{Name: n.Name, Enforcement: discover.Info}
		for _, r := range n.For {
			if r.Lacks() || r.State == discover.Undetermined && r.Enforcement == discover.Info {
				continue
			}
			if stricter(r.Enforcement, need.Enforcement) {
				need.Enforcement = r.Enforcement
			}
			need.use(r)
		}
		if len(need.At) == 0 {
			continue
		}
		need.Challenge, need.Why = challengeFor(a, n.Name, host)
		slices.SortStableFunc(need.At, useOfName.compare)
		needs = append(needs, need)
	}
	if host != "" && !slices.ContainsFunc(needs, func(n nameNeed) bool { return n.Name == host }) {
		need := nameNeed{Name: host, Enforcement: discover.Should, At: []useOfName{}}
		need.Challenge, need.Why = challengeFor(a, host, host)
		needs = append(needs, need)
	}
	slices.SortStableFunc(needs, func(a, b nameNeed) int { return degree(a.Enforcement) - degree(b.Enforcement) })
	return needs
}

// compare puts the strictest first, and what nothing names last.
func (u useOfName) compare(o useOfName) int {
	if u.Default != o.Default {
		if u.Default {
			return 1
		}
		return -1
	}
	return degree(u.Enforcement) - degree(o.Enforcement)
}

// use notes that a row wants the name.
func (n *nameNeed) use(r discover.Requirement) {
	i := slices.IndexFunc(n.At, func(u useOfName) bool { return u.Endpoint == r.Endpoint && u.Default == r.Default })
	if i < 0 {
		i = len(n.At)
		n.At = append(n.At, useOfName{r.Endpoint, r.Enforcement, nil, r.Default})
	}
	u := &n.At[i]
	if stricter(r.Enforcement, u.Enforcement) {
		u.Enforcement = r.Enforcement
	}
	if !slices.Contains(u.Roles, r.Role) {
		u.Roles = append(u.Roles, r.Role)
	}
}

func degree(s discover.Strictness) int {
	return slices.Index([]discover.Strictness{discover.Must, discover.Should, discover.Info}, s)
}

func stricter(a, b discover.Strictness) bool { return degree(a) < degree(b) }

// hosting are the roles whose endpoints are the server of an identity.
var hosting = []string{
	"federation", "c2s", "c2s direct TLS", "s2s", "s2s direct TLS", "client", "mx",
	"submission", "submission STARTTLS", "imap", "imap STARTTLS", "CalDAV", "CardDAV", "sips",
}

// hostOf is the server of a domain that is another host, or "".
func hostOf(a discover.Answer) string {
	domain := domainOf(a)
	for _, r := range a.Requirements {
		h := r.Endpoint.Host
		if h != "" && h != domain && r.State == discover.Found && slices.Contains(hosting, r.Role) && !config.IsAddress(h) {
			return h
		}
	}
	return ""
}

// domainOf is the domain of an answer without a port.
func domainOf(a discover.Answer) string {
	if name, err := discover.ParseServerName(a.Domain); err == nil {
		return name.Host
	}
	return a.Domain
}

// placesOf are the addresses of a host, as far as the rows tell.
func placesOf(a discover.Answer, host string) []netip.Addr {
	for _, r := range a.Requirements {
		if r.Endpoint.Host == host && len(r.Addrs) > 0 {
			return r.Addrs
		}
	}
	return nil
}

// challengeFor returns the challenge by which keypaird would validate a name:
// http-01 for the host, dns-01 for what is elsewhere.
func challengeFor(a discover.Answer, name, host string) (challenge, why string) {
	domain, at := domainOf(a), placesOf(a, name)
	plain := name == domain || slices.Contains(a.Components, name)
	elsewhere := slices.ContainsFunc(at, func(addr netip.Addr) bool { return !slices.Contains(placesOf(a, host), addr) })
	switch {
	case config.IsAddress(name):
		return acme.HTTP01, "an address; few CAs certify them"
	case plain && host != "" && len(at) == 0:
		return acme.DNS01, "works wherever the name points"
	case plain && host != "" && elsewhere:
		return acme.DNS01, fmt.Sprintf("it points to %s, and %s is at %s", list(at), host, list(placesOf(a, host)))
	case plain && host != "":
		return acme.DNS01, fmt.Sprintf("or http-01, as it points where %s is", host)
	case plain && len(at) == 0:
		return acme.DNS01, "it has no address"
	case len(at) == 0:
		return acme.DNS01, "its addresses are not known"
	case !below(name, domain):
		return acme.HTTP01, fmt.Sprintf("by whoever runs %s: it is not a name of %s", list(at), domain)
	}
	return acme.HTTP01, fmt.Sprintf("if port 80 of %s leads to keypaird", list(at))
}

// below tells whether a name is a domain or below it.
func below(name, domain string) bool {
	return name == domain || strings.HasSuffix(name, "."+domain)
}

// tablesFor is the configuration that keeps the names alive that a server needs
// which is at another host than the domain; "" where there is none, or where
// the names are not those of a domain.
func tablesFor(a discover.Answer, needs []nameNeed) string {
	host, domain := hostOf(a), domainOf(a)
	var b strings.Builder
	switch {
	case config.IsAddress(domain):
		return ""
	case host == "":
		return ownTable(domain, needs)
	}
	var offered []string
	for _, s := range a.Services {
		if slices.ContainsFunc(a.Requirements, func(r discover.Requirement) bool { return r.Service == s && sameMachine(a, r, host) }) {
			offered = append(offered, s)
		}
	}
	fmt.Fprintf(&b, "[identity.%q]\nhost       = %q\n", domain, host)
	if len(offered) > 0 {
		fmt.Fprintf(&b, "services   = %s\n", quotedList(offered))
	}
	if len(a.Components) > 0 {
		fmt.Fprintf(&b, "components = %s\n", quotedList(a.Components))
	}
	b.WriteString("dns        = \"ns\"      # a [dns.ns] table says how to change the zone: keypaird dns\n")
	b.WriteString("deploy     = [\"nginx\"] # or another server: keypaird deploy -list\n")
	for _, n := range needs {
		others := n.Name != domain && n.Name != host && !slices.Contains(a.Components, n.Name)
		if others && n.Enforcement != discover.Info && n.Challenge == acme.HTTP01 && meet(placesOf(a, n.Name), placesOf(a, host)) {
			fmt.Fprintf(&b, "\n[cert.%q]\nhttp-01 = [%q]\ndeploy  = [\"nginx\"]\n", n.Name, n.Name)
		}
	}
	return b.String()
}

// ownTable is for a domain that is its own server.
func ownTable(domain string, needs []nameNeed) string {
	var names []string
	for _, n := range needs {
		if n.Enforcement != discover.Info && n.Challenge == acme.HTTP01 && below(n.Name, domain) {
			names = append(names, n.Name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf("[cert.%q]\nhttp-01 = %s\ndeploy  = [\"nginx\"] # or another server: keypaird deploy -list\n", domain, quotedList(names))
}

// sameMachine tells whether a row that was found is about the host.
func sameMachine(a discover.Answer, r discover.Requirement, host string) bool {
	return r.State == discover.Found && !r.Default && slices.Contains(hosting, r.Role) &&
		(r.Endpoint.Host == host || meet(r.Addrs, placesOf(a, host)))
}

func meet(a, b []netip.Addr) bool {
	return slices.ContainsFunc(a, func(addr netip.Addr) bool { return slices.Contains(b, addr) })
}

func quotedList(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = fmt.Sprintf("%q", w)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// needs writes which names a certificate needs, and what to write down for it.
func (p *paper) needs(a discover.Answer, needs []nameNeed, config string) {
	p.blank()
	if len(needs) == 0 {
		p.line(0, "needs: no name is known to be needed")
		return
	}
	p.line(0, "needs: the names, where a certificate has to show them, and the challenge for each")
	var idle []string
	for _, n := range needs {
		if n.Enforcement == discover.Info {
			idle = append(idle, n.Name)
			continue
		}
		p.uses(n)
		p.hang("    challenge ", 14, n.Challenge+": "+n.Why)
	}
	if len(idle) > 0 {
		p.line(2, "nobody minds today: %s", strings.Join(idle, ", "))
	}
	if blank(a) > 0 {
		p.line(2, "and what the services need that are %s above", unknown)
	}
	if config == "" {
		return
	}
	p.blank()
	p.line(0, "what would do it, if these machines are yours:")
	for line := range strings.Lines(config) {
		p.b.WriteString(strings.TrimRight("    "+line, " \n") + "\n")
	}
}

// uses writes a name and where it is wanted.
func (p *paper) uses(n nameNeed) {
	p.line(2, "%s", n.Name)
	if len(n.At) == 0 {
		p.hang("    should   ", 13, "the server's own name: for people and programs that are told it")
	}
	for _, u := range n.At {
		strict := string(u.Enforcement)
		if u.Default {
			strict = "default"
		}
		p.hang(fmt.Sprintf("    %-7s  ", strict), 13, u.Endpoint.Full()+" ("+strings.Join(u.Roles, ", ")+")")
	}
}
