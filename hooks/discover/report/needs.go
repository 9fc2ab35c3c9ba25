package report

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"keypaird/hooks/discover"
	"keypaird/hooks/discover/records"
)

// A Document is the output of "keypaird discover".
type Document struct {
	discover.Answer
	Needs  []Need `json:"needs"`            // names without an enforcement come last
	Config string `json:"config,omitempty"` // tables of a configuration that has those names certified
	// LeftOut are the names that Config does not have, each with the reason.
	LeftOut []string `json:"left_out,omitempty"`

	Supposed map[string][]netip.Addr `json:"-"` // addresses of names that were not asked of DNS
}

// A Need is a name that certificates need, and how it can be validated.
type Need struct {
	Name        string              `json:"name"`
	Enforcement discover.Strictness `json:"enforcement"`         // the strictest there is
	At          []Use               `json:"at"`                  // none: only users need it
	Challenge   string              `json:"challenge,omitempty"` // http-01 or dns-01
	Why         string              `json:"why"`                 // that challenge

	Own bool `json:"-"` // it is the domain or below it
}

// A Use is an endpoint that must serve a name.
type Use struct {
	Endpoint    discover.Place      `json:"endpoint"`
	Enforcement discover.Strictness `json:"enforcement"`
	Roles       []string            `json:"roles"`
	Default     bool                `json:"default,omitempty"` // no record names the endpoint
}

// New returns the document of an answer, without Config and Supposed.
func New(a discover.Answer) *Document {
	return &Document{Answer: a, Needs: Needs(a)}
}

// DomainName returns the domain without a port.
func (d *Document) DomainName() string { return domainOf(d.Answer) }

// Needs returns the names that the endpoints of an answer need, each with the
// endpoints, and the name of the domain's host.
func Needs(a discover.Answer) []Need {
	host := MachineOf(a).Host
	needs := []Need{}
	for _, n := range a.Needs() {
		need := Need{Name: n.Name, Enforcement: discover.Info}
		for _, r := range n.For {
			if r.Lacks() || r.State == discover.Undetermined && r.Enforcement == discover.Info {
				continue
			}
			need.Enforcement = stricter(r.Enforcement, need.Enforcement)
			need.addUse(r)
		}
		if len(need.At) == 0 {
			continue
		}
		slices.SortStableFunc(need.At, Use.compare)
		needs = append(needs, need)
	}
	if host != "" && !slices.ContainsFunc(needs, func(n Need) bool { return n.Name == host }) {
		needs = append(needs, Need{Name: host, Enforcement: discover.Should, At: []Use{}})
	}
	for i := range needs {
		needs[i].validate(a, host)
	}
	slices.SortStableFunc(needs, func(a, b Need) int { return a.Enforcement.Compare(b.Enforcement) })
	return needs
}

// compare orders the strictest first, and endpoints that no record names last.
func (u Use) compare(o Use) int {
	if u.Default != o.Default {
		if u.Default {
			return 1
		}
		return -1
	}
	return u.Enforcement.Compare(o.Enforcement)
}

// addUse adds the endpoint of a row, or the row's role to that endpoint.
func (n *Need) addUse(r discover.Requirement) {
	i := slices.IndexFunc(n.At, func(u Use) bool { return u.Endpoint == r.Endpoint && u.Default == r.Default })
	if i < 0 {
		i = len(n.At)
		n.At = append(n.At, Use{r.Endpoint, r.Enforcement, nil, r.Default})
	}
	u := &n.At[i]
	u.Enforcement = stricter(u.Enforcement, r.Enforcement)
	if !slices.Contains(u.Roles, r.Role) {
		u.Roles = append(u.Roles, r.Role)
	}
}

func stricter(a, b discover.Strictness) discover.Strictness {
	if b.Compare(a) < 0 {
		return b
	}
	return a
}

// domainOf returns the domain of an answer without a port.
func domainOf(a discover.Answer) string {
	if name, err := discover.ParseServerName(a.Domain); err == nil {
		return name.Host
	}
	return a.Domain
}

// addrsOf returns the addresses of a host, as far as the rows have them.
func addrsOf(a discover.Answer, host string) []netip.Addr {
	for _, r := range a.Requirements {
		if r.Endpoint.Host == host && len(r.Addrs) > 0 {
			return r.Addrs
		}
	}
	return nil
}

func shareAddr(a, b []netip.Addr) bool {
	return slices.ContainsFunc(a, func(addr netip.Addr) bool { return slices.Contains(b, addr) })
}

// The challenges of RFC 8555, sections 8.3 and 8.4.
const (
	http01 = "http-01"
	dns01  = "dns-01"
)

// validate sets the challenge for a name: http-01 if its server can answer it, and
// dns-01 if its address is another machine's or not known.
func (n *Need) validate(a discover.Answer, host string) {
	domain, at, hostAt := domainOf(a), addrsOf(a, n.Name), addrsOf(a, host)
	n.Own = records.Within(n.Name, domain)
	plain := n.Name == domain || slices.Contains(a.Components, n.Name)
	otherAddr := slices.ContainsFunc(at, func(addr netip.Addr) bool { return !slices.Contains(hostAt, addr) })
	n.Challenge = dns01
	switch {
	case isAddress(n.Name):
		n.Challenge, n.Why = http01, "an address; few CAs certify them"
	case plain && host != "" && len(at) == 0:
		n.Why = "works wherever the name points"
	case plain && host != "" && otherAddr:
		n.Why = fmt.Sprintf("it points to %s, and %s is at %s", join(at), host, join(hostAt))
	case plain && host != "":
		n.Why = fmt.Sprintf("or http-01, as it points where %s is", host)
	case plain && len(at) == 0:
		n.Why = "it has no address"
	case len(at) == 0:
		n.Why = "its addresses are not known"
	case Private(at) && n.Own:
		n.Why = fmt.Sprintf("CAs cannot connect to %s", join(at))
	case !n.Own:
		n.Challenge, n.Why = http01, fmt.Sprintf("by the operator of %s: it is not a name of %s", join(at), domain)
	default:
		n.Challenge, n.Why = http01, fmt.Sprintf("if port 80 of %s leads to keypaird", join(at))
	}
}

// Private reports whether CAs can connect to none of the addresses.
func Private(addrs []netip.Addr) bool {
	return !slices.ContainsFunc(addrs, func(a netip.Addr) bool { return !a.IsPrivate() && !a.IsLinkLocalUnicast() && !carrier.Contains(a) })
}

var carrier = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598

func isAddress(name string) bool {
	_, err := netip.ParseAddr(name)
	return err == nil
}

func join(addrs []netip.Addr) string {
	texts := make([]string, len(addrs))
	for i, a := range addrs {
		texts[i] = a.String()
	}
	return strings.Join(texts, ", ")
}
