package config

import (
	"maps"
	"slices"
	"strings"

	"keypaird/acme"
)

// A Target is one certificate to keep alive, with all that holds for it.
type Target struct {
	Name           string
	Challenges     []Challenge // sorted by name
	Key            string
	Profile        string
	PreferredChain string
	SignWith       []string
	Deploy         []string
	Identity       string   // the plain domain it belongs to; "" for a [cert]
	Services       []string // of the identity
	External       External // zero: it is ordered
	TLSA           []string // names of records
}

// A Challenge is a name and the challenge by which the CA validates it.
type Challenge struct {
	Name    string
	Type    string // challenge type
	Account string // for dns-01: the [dns] table
}

const persist = "persist" // as a value of dns: by dns-persist-01

// Targets returns every target, sorted by name.
func (c *Config) Targets() []Target {
	var ts []Target
	hosts := map[string]int{} // index of a host's target
	for _, domain := range slices.Sorted(maps.Keys(c.Identity)) {
		for _, t := range c.identityTargets(domain, c.Identity[domain]) {
			if i, ok := hosts[t.Name]; ok && t.Name != domain && ts[i].sharedWith(t) {
				ts[i].Deploy, ts[i].Services = union(ts[i].Deploy, t.Deploy), union(ts[i].Services, t.Services)
				continue
			}
			if t.Name != domain {
				hosts[t.Name] = len(ts)
			}
			ts = append(ts, t)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Cert)) {
		ts = append(ts, c.certTarget(name, c.Cert[name]))
	}
	slices.SortFunc(ts, func(a, b Target) int { return strings.Compare(a.Name, b.Name) })
	return ts
}

// sharedWith reports whether the host of two identities needs one certificate:
// a server may serve several plain domains.
func (t Target) sharedWith(o Target) bool {
	return slices.Equal(t.Challenges, o.Challenges) && t.Key == o.Key && t.Profile == o.Profile &&
		t.PreferredChain == o.PreferredChain && slices.Equal(t.SignWith, o.SignWith)
}

// union is a with what only b has.
func union(a, b []string) []string {
	out := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// identityTargets makes the two targets of an identity, or the one.
func (c *Config) identityTargets(domain string, id Identity) []Target {
	t := c.target(domain, id.Key, id.Profile, id.PreferredChain, id.SignWith, id.Deploy)
	t.Identity, t.Services = domain, id.Services
	host := t
	host.Name, host.Challenges = id.Host, []Challenge{challengeFor(id.HostDNS, id.Host)}
	for _, name := range append([]string{domain}, id.Components...) {
		t.Challenges = append(t.Challenges, challengeFor(id.DNS, name))
	}
	if id.OneCertificate {
		t.Challenges = append(t.Challenges, host.Challenges...)
		return []Target{t.sorted()}
	}
	return []Target{t.sorted(), host}
}

// challengeFor returns the challenge that a dns key asks for: "" is http-01.
func challengeFor(dns, name string) Challenge {
	switch dns {
	case "":
		return Challenge{Name: name, Type: acme.HTTP01}
	case persist:
		return Challenge{Name: name, Type: acme.DNSPersist01}
	}
	return Challenge{Name: name, Type: acme.DNS01, Account: dns}
}

func (c *Config) certTarget(name string, cert Cert) Target {
	if cert.External != (External{}) {
		return Target{Name: name, Deploy: cert.Deploy, External: cert.External}
	}
	t := c.target(name, cert.Key, cert.Profile, cert.PreferredChain, cert.SignWith, cert.Deploy)
	t.TLSA = cert.TLSA
	for _, n := range cert.HTTP01 {
		t.Challenges = append(t.Challenges, Challenge{Name: n, Type: acme.HTTP01})
	}
	for _, n := range cert.DNS01 {
		t.Challenges = append(t.Challenges, Challenge{Name: n, Type: acme.DNS01, Account: cert.DNS})
	}
	for _, n := range cert.DNSPersist01 {
		t.Challenges = append(t.Challenges, Challenge{Name: n, Type: acme.DNSPersist01})
	}
	return t.sorted()
}

// target returns a target with the settings of the top where it has none.
func (c *Config) target(name, key string, profile, chain *string, signWith, deploy []string) Target {
	t := Target{
		Name: name, Key: key, Profile: c.Profile, PreferredChain: c.PreferredChain, SignWith: signWith, Deploy: deploy,
	}
	if t.Key == "" {
		t.Key = c.Key
	}
	if profile != nil {
		t.Profile = *profile
	}
	if chain != nil {
		t.PreferredChain = *chain
	}
	if len(t.SignWith) == 0 {
		t.SignWith = c.SignWith
	}
	return t
}

func (t Target) sorted() Target {
	slices.SortFunc(t.Challenges, func(a, b Challenge) int { return strings.Compare(a.Name, b.Name) })
	return t
}
