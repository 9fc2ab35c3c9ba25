package preflight

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"

	"keypaird/acme"
	"keypaird/acme/dns01"
	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/engine"
	"keypaird/hooks/discover"
)

// checkIdentities compares the identities with what peers would find, and the
// names proven by http-01 with where they point. It warns and never fails:
// discovery informs and does not decide. before are the findings so far.
func checkIdentities(ctx context.Context, w *engine.Engine, before []Finding) []Finding {
	c := &identityCheck{w: w, here: map[netip.Addr]bool{}}
	for _, f := range before {
		_, at, _ := strings.Cut(f.Subject, " at ")
		if addr, err := netip.ParseAddr(at); err == nil && f.Check == acme.HTTP01 && f.Result == Good {
			c.here[addr] = true // our token is served there, so it leads here
		}
	}
	if addrs, err := net.InterfaceAddrs(); err == nil {
		for _, a := range addrs {
			if prefix, err := netip.ParsePrefix(a.String()); err == nil {
				c.here[prefix.Addr().Unmap()] = true
			}
		}
	}
	var tasks []func() []Finding
	for _, s := range w.Targets {
		for _, p := range w.Settings[s.Name].Challenges {
			if p.Type == acme.HTTP01 {
				tasks = append(tasks, func() []Finding { return c.pointing(ctx, w.Settings[s.Name], p.Name) })
			}
		}
	}
	for _, domain := range slices.Sorted(maps.Keys(w.Config.Identity)) {
		if id := w.Config.Identity[domain]; len(id.Services) > 0 {
			tasks = append(tasks, func() []Finding { return c.identity(ctx, domain, id) })
		}
	}
	return sideBySide(tasks)
}

// An identityCheck looks at identities as peers do.
type identityCheck struct {
	w    *engine.Engine
	here map[netip.Addr]bool // addresses of this machine, or that lead to it
}

// ours tells whether an address leads here as far as we can tell.
func (c *identityCheck) ours(a netip.Addr) bool { return c.here[a] || a.IsLoopback() }

// pointing warns of a name proven by http-01 that is elsewhere. An address at
// which our token is served does, wherever it is.
func (c *identityCheck) pointing(ctx context.Context, t config.Target, name string) []Finding {
	if config.IsAddress(name) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, liveTimeout)
	defer cancel()
	addrs, err := dns01.Checker{}.Addresses(ctx, name)
	if err != nil {
		return nil // the check of http-01 has said so
	}
	addrs = slices.DeleteFunc(addrs, c.ours)
	if len(addrs) == 0 {
		return nil
	}
	f := Finding{
		Check: "identity", Subject: name, Result: Warning,
		Detail: fmt.Sprintf("is proven by http-01, and %s is not an address of this machine", list(addrs)),
		Remedy: "correct the record; or prove it by DNS: under dns-01 of its [cert] table",
	}
	switch {
	case t.Identity != "":
		f.Remedy = fmt.Sprintf("correct the record; or prove it by DNS: host_dns in [identity.%q]", t.Identity)
	case c.plain(name):
		f.Detail = fmt.Sprintf("is a plain domain proven by http-01 that points elsewhere: to %s", list(addrs))
		f.Remedy = "prove it by DNS: in an [identity] table, or under dns-01 of its [cert] table"
	}
	if slices.ContainsFunc(slices.Collect(maps.Keys(c.here)), netip.Addr.IsPrivate) {
		f.Remedy += "; behind a router that passes port 80 on to this machine, all is well"
	}
	return []Finding{f}
}

// plain tells whether there is a name below this one to certify.
func (c *identityCheck) plain(name string) bool {
	for _, t := range c.w.Settings {
		for _, p := range t.Challenges {
			if p.Name != name && below(p.Name, name) {
				return true
			}
		}
	}
	return false
}

// identity warns of names that peers of an identity need and no target has.
func (c *identityCheck) identity(ctx context.Context, domain string, id config.Identity) []Finding {
	limited, cancel := context.WithTimeout(ctx, liveTimeout)
	defer cancel()
	answer, err := (&discover.Discoverer{}).Discover(limited, domain, id.Services, hosts(id.Components))
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return []Finding{{Check: "identity", Subject: domain, Result: Warning, Detail: "undetermined: " + err.Error()}}
	}
	found := append(c.lacking(domain, answer), nowhere(domain, answer)...)
	for _, p := range answer.Problems {
		if p.Error {
			found = append(found, Finding{Check: "identity", Subject: domain, Result: Warning, Detail: p.Service + ": " + p.Text, Remedy: p.Remedy})
		}
	}
	if f, ok := undetermined(domain, answer); ok {
		found = append(found, f)
	}
	if len(found) == 0 {
		found = append(found, Finding{
			Check: "identity", Subject: domain, Result: Good,
			Detail: strings.Join(id.Services, ", ") + ": every name that peers need has a target",
		})
	}
	return found
}

// hosts leaves out wildcards, which are nobody's domain.
func hosts(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return strings.HasPrefix(n, "*.") })
}

// nowhere warns of a service that peers look for at a name without an address.
func nowhere(domain string, a discover.Answer) []Finding {
	var found []Finding
	for _, r := range a.Requirements {
		if !r.Default || r.State != discover.Absent || r.Enforcement != discover.Must {
			continue
		}
		remedy := fmt.Sprintf("publish its address or SRV records, or take %s out of services", r.Service)
		if r.Identity != domain {
			remedy = fmt.Sprintf("publish its address or SRV records, or take it out of components in [identity.%q]", domain)
		}
		found = append(found, Finding{
			Check: "identity", Subject: domain, Result: Warning,
			Detail: fmt.Sprintf("%s of %s: %s find nothing: %s", r.Role, r.Identity, r.CheckedBy, r.Why), Remedy: remedy,
		})
	}
	return found
}

// undetermined says what could not be found out.
func undetermined(domain string, a discover.Answer) (Finding, bool) {
	var whys []string
	for _, r := range a.Requirements {
		if r.State == discover.Undetermined && !slices.Contains(whys, r.Why) {
			whys = append(whys, r.Why)
		}
	}
	if len(whys) == 0 {
		return Finding{}, false
	}
	f := Finding{Check: "identity", Subject: domain, Result: Warning, Detail: "undetermined: " + whys[0],
		Remedy: "ask again: keypaird discover " + domain}
	if n := len(whys) - 1; n > 0 {
		f.Detail += fmt.Sprintf("; and %d more", n)
	}
	return f, true
}

// lacking are the names that no target has. Those of other people's machines,
// such as the mail hosts of a provider, are left out.
func (c *identityCheck) lacking(domain string, a discover.Answer) []Finding {
	var found []Finding
	var said []string
	for _, r := range a.Requirements {
		if r.Lacks() || r.State == discover.Undetermined || r.Enforcement == discover.Info || len(r.Accept) == 0 {
			continue
		}
		name := r.Accept[0]
		own := slices.ContainsFunc(r.Accept, func(n string) bool { return below(n, domain) })
		if slices.Contains(said, name) || c.has(r) || !own && !slices.ContainsFunc(r.Addrs, c.ours) {
			continue
		}
		said = append(said, name)
		f := Finding{
			Check: "identity", Subject: domain, Result: Warning,
			Detail: fmt.Sprintf("no target has %s, which is needed at %s (%s, %s: %s)", strings.Join(r.Accept, " or "), r.Endpoint.Full(), r.Role, r.CheckedBy, r.Enforcement),
			Remedy: fmt.Sprintf("add a target: [cert.%q] with http-01 = [%q]", name, name),
		}
		switch {
		case config.IsAddress(name):
			f.Remedy += ", at a CA that certifies addresses"
		case r.Endpoint.Host != name:
			f.Remedy = fmt.Sprintf("add it to components in [identity.%q]", domain)
		case len(r.Addrs) > 0 && !slices.ContainsFunc(r.Addrs, c.ours):
			f.Remedy = fmt.Sprintf("it is at %s, not at this machine: see to it there, or take %s out of services; keypaird verify %s looks at it", list(r.Addrs), r.Service, domain)
		}
		found = append(found, f)
	}
	return found
}

// has tells whether a target has one of the names that do for a row.
func (c *identityCheck) has(r discover.Requirement) bool {
	for _, t := range c.w.Targets {
		for _, name := range c.w.Names(t) {
			if slices.ContainsFunc(r.Accept, func(n string) bool { return config.Covers(name, n, r.NoWildcard) }) {
				return true
			}
		}
	}
	return false
}

// below reports whether a name is a domain or below it.
func below(name, domain string) bool {
	return name == domain || strings.HasSuffix(name, "."+domain)
}

func list(addrs []netip.Addr) string {
	texts := make([]string, len(addrs))
	for i, a := range addrs {
		texts[i] = a.String()
	}
	return strings.Join(texts, ", ")
}
