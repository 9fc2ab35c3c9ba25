package report

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"keypaird/hooks/discover"
	"keypaird/hooks/discover/records"
)

// A Machine is the machine of a domain that a configuration is suggested for. A
// domain may have services on several: each gets its certificates itself.
type Machine struct {
	Host     string   // the server, if it needs the name of the domain too; else empty
	Services []string // found on the machine
	Names    []Served // names of the domain that are served there, but for plain web pages of others

	// LeftOut are the names of an answer that the machine does not serve, each with
	// the reason.
	LeftOut []string
}

// Served is a name with the rows of the endpoints that serve it on a machine.
type Served struct {
	Name string
	Rows []discover.Requirement
}

// hosting are the roles of endpoints on the server of a domain.
var hosting = []string{
	"federation", "c2s", "c2s direct TLS", "s2s", "s2s direct TLS", "client", "mx", "mx DANE",
	"submission", "submission STARTTLS", "imap", "imap STARTTLS", "pop3", "pop3 STARTTLS", "sieve",
	"CalDAV", "CardDAV", "sips",
}

// hosts reports whether a row is about a server of the domain, redirects included.
func hosts(r discover.Requirement) bool {
	return slices.Contains(hosting, strings.TrimSuffix(r.Role, " redirect"))
}

// MachineOf returns the machine that an operator most likely means: that of the first
// service that needs the name of the domain on another host, else of the first service
// on another host, else that of the domain itself.
func MachineOf(a discover.Answer) Machine {
	domain := domainOf(a)
	rows := servedRows(a)
	own := slices.DeleteFunc(slices.Clone(rows), func(r discover.Requirement) bool { return foreign(r, domain) != "" })
	plain := func(r discover.Requirement) bool {
		return r.Endpoint.Host != domain && hosts(r) && (nameOf(a, r) == domain || slices.Contains(a.Components, nameOf(a, r)))
	}
	first := -1
	for _, prefer := range []func(r discover.Requirement) bool{
		func(r discover.Requirement) bool { return plain(r) && r.Enforcement == discover.Must },
		plain,
		func(r discover.Requirement) bool { return r.Endpoint.Host != domain && hosts(r) },
		hosts,
		func(discover.Requirement) bool { return true },
	} {
		if first = slices.IndexFunc(own, prefer); first >= 0 {
			break
		}
	}
	m := Machine{LeftOut: foreignNames(a, rows)}
	if first < 0 {
		return m
	}
	start := own[first]
	if plain(start) {
		m.Host = start.Endpoint.Host
	}
	for len(own) > 0 {
		var here []discover.Requirement
		here, own = oneMachine(own[first], own)
		if first = 0; m.Names == nil {
			m.serve(a, here)
			continue
		}
		m.LeftOut = append(m.LeftOut, m.onOther(a, here))
	}
	return m
}

// servedRows returns the rows about a certificate that somebody serves: peers check
// it, or it is that of a mail exchanger. No record names the endpoints of the others.
func servedRows(a discover.Answer) []discover.Requirement {
	return slices.DeleteFunc(slices.Clone(a.Requirements), func(r discover.Requirement) bool {
		return r.State != discover.Found || r.Default || len(r.Addrs) == 0 || isAddress(nameOf(a, r)) || nameOf(a, r) == "" ||
			r.Enforcement == discover.Info && r.Role != "mx"
	})
}

// nameOf returns the name that a row needs: that of the host, or one of the domain, if
// it has the choice.
func nameOf(a discover.Answer, r discover.Requirement) string {
	if slices.Contains(r.Accept, r.Endpoint.Host) {
		return r.Endpoint.Host
	}
	for _, name := range r.Accept {
		if records.Within(name, domainOf(a)) || slices.Contains(a.Components, name) {
			return name
		}
	}
	if len(r.Accept) > 0 {
		return r.Accept[0]
	}
	return r.SNI // DANE: names do not matter
}

// foreign returns why there are no tables for the host of a row, or "": it is another
// operator's, as far as names show that, or has no name that CAs certify.
func foreign(r discover.Requirement, domain string) string {
	switch {
	case !records.Within(r.Endpoint.Host, domain):
		return fmt.Sprintf("not a name of %s", domain)
	case records.HostFault(r.Endpoint.Host, false) != "":
		return "a name with an underscore, which no CA certifies"
	case !strings.Contains(domain, "."):
		return "a name with one label, which no public CA certifies"
	case r.Alias != "" && !records.Within(r.Alias, domain):
		return fmt.Sprintf("an alias of %s, which is not a name of %s", r.Alias, domain)
	}
	return ""
}

// oneMachine splits rows into those on the machine of the first, which share
// addresses, and the others.
func oneMachine(first discover.Requirement, rows []discover.Requirement) (here, rest []discover.Requirement) {
	addrs := slices.Clone(first.Addrs)
	for more := true; more; {
		more = false
		for _, r := range rows {
			if !shareAddr(r.Addrs, addrs) {
				continue
			}
			for _, addr := range r.Addrs {
				if !slices.Contains(addrs, addr) {
					addrs, more = append(addrs, addr), true
				}
			}
		}
	}
	for _, r := range rows {
		if shareAddr(r.Addrs, addrs) {
			here = append(here, r)
		} else {
			rest = append(rest, r)
		}
	}
	return here, rest
}

// serve adds the rows of the machine.
func (m *Machine) serve(a discover.Answer, rows []discover.Requirement) {
	for _, r := range rows {
		name := nameOf(a, r)
		if hosts(r) && !slices.Contains(m.Services, r.Service) {
			m.Services = append(m.Services, r.Service)
		}
		i := slices.IndexFunc(m.Names, func(n Served) bool { return n.Name == name })
		if i < 0 {
			i = len(m.Names)
			m.Names = append(m.Names, Served{Name: name})
		}
		m.Names[i].Rows = append(m.Names[i].Rows, r)
	}
}

// foreignNames says which names are served on machines of other operators.
func foreignNames(a discover.Answer, rows []discover.Requirement) (list []string) {
	type key struct{ service, reason string }
	var order []key
	hosts := map[key][]string{}
	domain := domainOf(a)
	for _, r := range rows {
		why, name := foreign(r, domain), nameOf(a, r)
		if why == "" {
			continue
		}
		k, what := key{r.Service, why + ": its operator gets the certificate"}, r.Endpoint.Host
		if !strings.Contains(why, domain) {
			k.reason = why
		}
		if records.Within(name, domain) && name != r.Endpoint.Host {
			if r.Enforcement != discover.Must {
				continue // strict programs alone miss it
			}
			what = name + " at " + r.Endpoint.Host
			if strings.Contains(why, domain) {
				k.reason = fmt.Sprintf("%s: its operator needs a certificate for %s; if that machine is yours, name it as host in [identity.%q]", why, name, domain)
			}
		}
		if hosts[k] == nil {
			order = append(order, k)
		}
		if !slices.Contains(hosts[k], what) {
			hosts[k] = append(hosts[k], what)
		}
	}
	for _, k := range order {
		slices.Sort(hosts[k])
		list = append(list, fmt.Sprintf("%s (%s): %s", strings.Join(hosts[k], ", "), k.service, k.reason))
	}
	return list
}

// onOther says which names are served on another machine of the domain.
func (m Machine) onOther(a discover.Answer, rows []discover.Requirement) string {
	var names, services []string
	var addrs []netip.Addr
	for _, r := range rows {
		names = append(names, r.Endpoint.Host)
		if r.Enforcement != discover.Info {
			names = append(names, nameOf(a, r))
		}
		if (hosts(r) || r.Service == "web") && !slices.Contains(services, r.Service) {
			services = append(services, r.Service)
		}
		addrs = append(addrs, r.Addrs...)
	}
	slices.Sort(names)
	slices.SortFunc(addrs, netip.Addr.Compare)
	text := fmt.Sprintf("%s: at %s, another machine", strings.Join(slices.Compact(names), ", "), join(slices.Compact(addrs)))
	if len(services) == 0 {
		return text + ", which gets its certificate itself"
	}
	if !slices.ContainsFunc(services, func(s string) bool { return !slices.Contains(m.Services, s) }) {
		return text + ": the same tables there, with its own name instead" // peers use both
	}
	return fmt.Sprintf("%s: for its tables, keypaird discover -service %s %s", text, strings.Join(services, ","), a.Domain)
}
