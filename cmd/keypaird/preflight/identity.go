package preflight

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"

	"keypaird/acme/dns01"
	"keypaird/cmd/keypaird-names/message"
	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/config/hostname"
	"keypaird/cmd/keypaird/engine"
	"keypaird/cmd/keypaird/names"
	"keypaird/renew/problem"
)

// checkIdentities compares the identities with what peers find, and the names that
// http-01 and tls-alpn-01 validate with the addresses of this machine. It only warns. before are
// the findings so far.
func checkIdentities(ctx context.Context, e *engine.Engine, before []Finding) []Finding {
	c := &identityCheck{engine: e, local: localAddrs(before)}
	var tasks []func() []Finding
	for _, s := range e.Targets {
		for _, p := range e.Settings[s.Name].Challenges {
			if e.Tests[p.Type] != nil {
				tasks = append(tasks, func() []Finding { return c.checkAddress(ctx, e.Settings[s.Name], p) })
			}
		}
	}
	for _, domain := range slices.Sorted(maps.Keys(e.Config.Identity)) {
		if id := e.Config.Identity[domain]; len(id.Services) > 0 {
			tasks = append(tasks, func() []Finding { return c.checkIdentity(ctx, domain, id) })
		}
	}
	return runAll(tasks)
}

// An identityCheck checks identities as peers see them.
type identityCheck struct {
	engine *engine.Engine
	local  map[netip.Addr]bool // addresses of this machine, or forwarded to it
}

// localAddrs returns the addresses of this machine, and those that serve our token.
func localAddrs(found []Finding) map[netip.Addr]bool {
	local := map[netip.Addr]bool{}
	for _, f := range found {
		if f.Addr.IsValid() && f.Result == Good {
			local[f.Addr] = true
		}
	}
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil {
			local[prefix.Addr().Unmap()] = true
		}
	}
	return local
}

// isLocal reports whether an address is known to lead to this machine.
func (c *identityCheck) isLocal(a netip.Addr) bool { return c.local[a] || a.IsLoopback() }

// checkAddress warns of a name that is validated at its addresses but that points to another
// machine. Any address that serves our token will do.
func (c *identityCheck) checkAddress(ctx context.Context, t config.Target, by config.Challenge) []Finding {
	name := by.Name
	if hostname.IsAddress(name) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, liveTimeout)
	defer cancel()
	addrs, err := dns01.Checker{}.Addresses(ctx, name)
	if err != nil {
		return nil // reported by the check of the challenge
	}
	addrs = slices.DeleteFunc(addrs, c.isLocal)
	if len(addrs) == 0 {
		return nil
	}
	f := Finding{
		Check: "identity", Subject: name, Result: Warning,
		Detail: fmt.Sprintf("is validated by %s, but %s is not an address of this machine", by.Type, joinAddrs(addrs)),
		Remedy: "correct the record, or validate by DNS: under dns-01 of its [cert] table",
	}
	switch {
	case t.Identity != "":
		f.Remedy = fmt.Sprintf("correct the record, or validate by DNS: host_dns in [identity.%q]", t.Identity)
	case c.hasSubdomain(name):
		f.Detail = fmt.Sprintf("is a domain validated by %s that points to another machine: %s", by.Type, joinAddrs(addrs))
		f.Remedy = "validate by DNS: in an [identity] table, or under dns-01 of its [cert] table"
	}
	if slices.ContainsFunc(slices.Collect(maps.Keys(c.local)), netip.Addr.IsPrivate) {
		f.Remedy += "; this is right behind a router that forwards port " + c.engine.Tests[by.Type].Port + " to this machine"
	}
	return []Finding{f}
}

// hasSubdomain reports whether a target has a name below this one.
func (c *identityCheck) hasSubdomain(name string) bool {
	for _, t := range c.engine.Settings {
		for _, p := range t.Challenges {
			if p.Name != name && isWithin(p.Name, name) {
				return true
			}
		}
	}
	return false
}

// checkIdentity warns of names that peers of an identity need and no target has.
func (c *identityCheck) checkIdentity(ctx context.Context, domain string, id config.Identity) []Finding {
	limited, cancel := context.WithTimeout(ctx, liveTimeout)
	defer cancel()
	a, err := names.Ask(limited, message.Request{
		Discover: &message.Discover{Domain: domain, Services: id.Services, Components: withoutWildcards(id.Components)}, Format: message.Facts,
	}, io.Discard)
	if err == nil && a.Error != "" {
		err = problem.New(a.Error, a.Remedy)
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return []Finding{{Check: "identity", Subject: domain, Result: Warning, Detail: "undetermined: " + err.Error(), Remedy: problem.Remedy(err)}}
	}
	answer := cmp.Or(a.Needs, &message.Needs{})
	found := append(c.missingNames(domain, answer), missingAddresses(domain, answer)...)
	for _, p := range answer.Problems {
		found = append(found, Finding{Check: "identity", Subject: domain, Result: Warning, Detail: p.Service + ": " + p.Text, Remedy: p.Remedy})
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

// withoutWildcards removes wildcards, which are no domains.
func withoutWildcards(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return strings.HasPrefix(n, "*.") })
}

// missingAddresses warns of services that peers look up at a name without an address.
func missingAddresses(domain string, a *message.Needs) []Finding {
	var found []Finding
	for _, r := range a.Requirements {
		if !r.Missing {
			continue
		}
		remedy := fmt.Sprintf("publish its address or SRV records, or remove %s from services", r.Service)
		if r.Identity != domain {
			remedy = fmt.Sprintf("publish its address or SRV records, or remove it from components in [identity.%q]", domain)
		}
		found = append(found, Finding{
			Check: "identity", Subject: domain, Result: Warning,
			Detail: fmt.Sprintf("%s of %s: %s find nothing: %s", r.Role, r.Identity, r.CheckedBy, r.Why), Remedy: remedy,
		})
	}
	return found
}

// undetermined reports what discovery could not determine, if anything.
func undetermined(domain string, a *message.Needs) (Finding, bool) {
	var reasons []string
	for _, r := range a.Requirements {
		if r.Undetermined && !slices.Contains(reasons, r.Why) {
			reasons = append(reasons, r.Why)
		}
	}
	if len(reasons) == 0 {
		return Finding{}, false
	}
	f := Finding{Check: "identity", Subject: domain, Result: Warning, Detail: "undetermined: " + reasons[0],
		Remedy: "retry: keypaird discover " + domain}
	if n := len(reasons) - 1; n > 0 {
		f.Detail += fmt.Sprintf("; and %d more", n)
	}
	return f, true
}

// missingNames warns of required names that no target has, except those of other
// operators, such as the mail hosts of a provider.
func (c *identityCheck) missingNames(domain string, a *message.Needs) []Finding {
	var found []Finding
	var reported []string
	for _, r := range a.Requirements {
		if r.Lacks || r.Undetermined || r.Enforcement == "info" || len(r.Accept) == 0 {
			continue
		}
		name := r.Accept[0]
		own := slices.ContainsFunc(r.Accept, func(n string) bool { return isWithin(n, domain) })
		if slices.Contains(reported, name) || c.covered(r) || !own && !slices.ContainsFunc(r.Addrs, c.isLocal) {
			continue
		}
		reported = append(reported, name)
		f := Finding{
			Check: "identity", Subject: domain, Result: Warning,
			Detail: fmt.Sprintf("no target has %s, which is needed at %s (%s, %s: %s)", strings.Join(r.Accept, " or "), r.Endpoint, r.Role, r.CheckedBy, r.Enforcement),
			Remedy: fmt.Sprintf("add a target: [cert.%q] with http-01 = [%q]", name, name),
		}
		switch {
		case hostname.IsAddress(name):
			f.Remedy += ", at a CA that certifies addresses"
		case r.Host != name:
			f.Remedy = fmt.Sprintf("add it to components in [identity.%q]", domain)
		case len(r.Addrs) > 0 && !slices.ContainsFunc(r.Addrs, c.isLocal):
			f.Remedy = fmt.Sprintf("it is at %s, not at this machine: get the certificate there, or remove %s from services; keypaird verify %s checks it", joinAddrs(r.Addrs), r.Service, domain)
		}
		found = append(found, f)
	}
	return found
}

// covered reports whether a target has one of the names that satisfy a requirement.
func (c *identityCheck) covered(r message.Requirement) bool {
	for _, t := range c.engine.Targets {
		for _, name := range c.engine.Names(t) {
			if slices.ContainsFunc(r.Accept, func(n string) bool { return hostname.Covers(name, n, r.NoWildcard) }) {
				return true
			}
		}
	}
	return false
}

// isWithin reports whether a name is a domain or below it.
func isWithin(name, domain string) bool {
	return name == domain || strings.HasSuffix(name, "."+domain)
}

func joinAddrs(addrs []netip.Addr) string {
	texts := make([]string, len(addrs))
	for i, a := range addrs {
		texts[i] = a.String()
	}
	return strings.Join(texts, ", ")
}
