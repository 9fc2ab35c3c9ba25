package config

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"keypaird/acme"
	"keypaird/hooks/preset"
)

// checkIdentities checks the [identity] tables and keys them by the normal form of
// their domains.
func (c *checker) checkIdentities() {
	tables := c.cfg.Identity
	c.cfg.Identity = map[string]Identity{}
	for _, key := range slices.Sorted(maps.Keys(tables)) {
		p := path{"identity", key}
		domain := c.hostName(p, key)
		id := c.checkIdentity(p, domain, tables[key])
		if other, twice := c.identityPaths[domain]; twice {
			first, second := c.inFileOrder(other, p)
			c.report(second, "leave one of the tables out", "%q has a table already: [%v]", domain, first)
		} else if domain != "" {
			c.cfg.Identity[domain], c.identityPaths[domain] = id, p
		}
	}
}

// checkIdentity checks one identity. domain is "" if it is none.
func (c *checker) checkIdentity(p path, domain string, id Identity) Identity {
	switch host := p.child("host"); {
	case id.Host == "":
		c.report(host, `name the server: host = "matrix.example.org"`, "is missing")
	default:
		id.Host = c.hostName(host, id.Host)
		if id.Host != "" && id.Host == domain {
			c.report(host, "name the server; a domain that is its own server needs only a [cert] table", "%q is the plain domain itself", id.Host)
		}
	}
	id.Components = c.checkNames(p.child("components"), id.Components, acme.DNS01)
	for _, name := range id.Components {
		if name == domain || name == id.Host {
			c.report(p.child("components"), "leave it out: it is certified already", "%q is the domain or its host", name)
		}
	}
	if id.DNS == "" {
		c.report(p.child("dns"), `name a [dns] table, or write "persist" for dns-persist-01; a domain that answers on port 80 itself needs only a [cert] table`, "is missing")
	}
	c.checkAccount(p.child("dns"), id.DNS)
	c.checkAccount(p.child("host_dns"), id.HostDNS)
	c.checkServices(p.child("services"), id.Services)
	c.checkTargetSettings(p, id.Key, id.Profile, id.SignWith, id.Deploy)
	return id
}

// hostName normalises a name that can be neither an address nor a wildcard.
func (c *checker) hostName(p path, s string) string {
	name, err := NormalName(s)
	switch {
	case err != nil:
		c.report(p, remedyOf(err), "%q %v", s, err)
	case IsAddress(name):
		c.report(p, "write a DNS name; addresses go into a [cert] table, under http-01", "%q is an IP address", s)
	case strings.HasPrefix(name, "*."):
		c.report(p, "write the name itself; wildcards go into a [cert] table, under dns-01", "%q is a wildcard", s)
	default:
		return name
	}
	return ""
}

// checkNames normalises the names that are validated by one challenge.
func (c *checker) checkNames(p path, list []string, challenge string) []string {
	var out []string
	for _, s := range list {
		name, err := NormalName(s)
		switch {
		case err != nil:
			c.report(p, remedyOf(err), "%q %v", s, err)
		case IsAddress(name) && challenge != acme.HTTP01:
			c.report(p, "put it under http-01 of a [cert] table", "%q is an IP address, which only http-01 can validate", s)
		case strings.HasPrefix(name, "*.") && challenge == acme.HTTP01:
			c.report(p, "put it under dns-01", "%q is a wildcard, which http-01 cannot validate", s)
		case !slices.Contains(out, name):
			out = append(out, name)
		}
	}
	return out
}

// checkAccount checks a reference to a [dns] table.
func (c *checker) checkAccount(p path, name string) {
	if _, ok := c.cfg.DNS[name]; ok || name == "" || name == persist {
		return
	}
	remedy := "add a table [" + path{"dns", name}.String() + "]"
	if near := Nearest(name, append(slices.Collect(maps.Keys(c.cfg.DNS)), persist)); near != "" {
		remedy = suggest(name, []string{near})
	}
	c.report(p, remedy, "there is no table [%v]", path{"dns", name})
}

// checkServices checks the services of an identity.
func (c *checker) checkServices(p path, list []string) {
	for i, s := range list {
		c.checkOneOf(p, s, services, "is not a service")
		if slices.Contains(list[:i], s) {
			c.report(p, "name it once", "%q stands twice", s)
		}
	}
}

// checkTargetSettings checks what a target may override, and where it goes.
func (c *checker) checkTargetSettings(p path, key string, profile *string, signWith, deploy []string) {
	text := ""
	if profile != nil {
		text = *profile
	}
	c.checkSettings(p, key, signWith, text)
	known := append(preset.Names(), slices.Collect(maps.Keys(c.cfg.Deploy))...)
	p = p.child("deploy")
	for i, name := range deploy {
		_, table := c.cfg.Deploy[name]
		_, isPreset := preset.Lookup(name)
		switch {
		case !table && !isPreset:
			c.report(p, suggest(name, known)+" (or add a table [deploy.NAME])", "there is no deployment %q", name)
		case slices.Contains(deploy[:i], name):
			c.report(p, "name it once", "%q stands twice", name)
		case !table:
			c.checkOwners(p, p, c.cfg.Deployment(name))
		}
	}
}

// checkCerts checks the [cert] tables.
func (c *checker) checkCerts() {
	for _, key := range slices.Sorted(maps.Keys(c.cfg.Cert)) {
		cert := c.cfg.Cert[key]
		p := path{"cert", key}
		c.cfg.Cert[key] = c.checkCert(p, cert)
		if !isTableName(key) {
			c.report(p, nameRemedy+"; the names to certify stand in http-01 and dns-01", "%q cannot be the name of a target", key)
			delete(c.cfg.Cert, key)
		}
	}
}

func (c *checker) checkCert(p path, cert Cert) Cert {
	if c.isSet(p.child("external")) {
		c.checkExternal(p, cert)
		return cert
	}
	cert.HTTP01 = c.checkNames(p.child("http-01"), cert.HTTP01, acme.HTTP01)
	cert.DNS01 = c.checkNames(p.child("dns-01"), cert.DNS01, acme.DNS01)
	cert.DNSPersist01 = c.checkNames(p.child("dns-persist-01"), cert.DNSPersist01, acme.DNSPersist01)
	c.checkDuplicates(p, cert)
	cert.TLSA = c.checkTLSA(p.child("tlsa"), cert)
	if len(cert.HTTP01)+len(cert.DNS01)+len(cert.DNSPersist01) == 0 && !c.reportedUnder(p) {
		c.report(p, `list names by challenge: http-01 = ["mail.example.org"]`, "certifies no name")
	}
	switch {
	case cert.DNS == persist:
		c.report(p.child("dns"), "list the names under dns-persist-01 instead, and leave dns out", `"persist" is not an account`)
	case len(cert.DNS01) > 0 && cert.DNS == "":
		c.report(p.child("dns"), "name a [dns] table", "is missing for the names under dns-01")
	}
	c.checkAccount(p.child("dns"), cert.DNS)
	c.checkTargetSettings(p, cert.Key, cert.Profile, cert.SignWith, cert.Deploy)
	return cert
}

// checkDuplicates reports a name that is listed under two challenges.
func (c *checker) checkDuplicates(p path, cert Cert) {
	seen := map[string]string{}
	for _, list := range []struct {
		challenge string
		names     []string
	}{{acme.HTTP01, cert.HTTP01}, {acme.DNS01, cert.DNS01}, {acme.DNSPersist01, cert.DNSPersist01}} {
		for _, name := range list.names {
			if first, ok := seen[name]; ok {
				c.report(p.child(list.challenge), "leave it in one list", "%q stands under %s already", name, first)
			}
			seen[name] = list.challenge
		}
	}
}

// checkTargets checks what only shows when all targets are known: targets of one
// name, files of two owners, names that the CAs do not certify.
func (c *checker) checkTargets() {
	writers, reported := map[string]output{}, map[string]bool{}
	seen := map[string]Target{}
	targets := c.cfg.Targets()
	for _, t := range targets {
		if t.Name == "" { // a host that is none
			continue
		}
		p := c.tablePath(t)
		if first, ok := seen[t.Name]; ok {
			c.reportCollision(first, t)
			continue
		}
		seen[t.Name] = t
		c.checkPublicNames(p, t)
		c.checkOutputs(p, t, writers, reported)
	}
	for _, t := range targets {
		c.checkExternalNotWritten(c.tablePath(t), t, writers)
	}
}

// tablePath returns the path of the table that defines a target.
func (c *checker) tablePath(t Target) path {
	if t.Identity == "" {
		return path{"cert", t.Name}
	}
	return c.identityPaths[t.Identity]
}

// reportCollision reports that two tables make a target of the same name.
func (c *checker) reportCollision(a, b Target) {
	first, second := c.inFileOrder(c.tablePath(a), c.tablePath(b))
	remedy := "one target cannot be the domain of one identity and the host of another: leave one table out, or make it a [cert]"
	switch {
	case a.Identity == b.Identity: // a host that is its own domain, which has been reported
		return
	case a.Identity == "":
		first, second = c.tablePath(b), c.tablePath(a) // the [cert] is easier to rename
		remedy = "give the [cert] table another name"
	case b.Identity == "":
		first, second = c.tablePath(a), c.tablePath(b)
		remedy = "give the [cert] table another name"
	case a.Name != a.Identity && b.Name != b.Identity:
		remedy = "give the host the same host_dns, key, profile, preferred_chain and sign_with in both tables"
	}
	c.report(second, remedy, "makes the target %q, as [%v] does", a.Name, first)
}

// inFileOrder returns two places in the order of the file.
func (c *checker) inFileOrder(a, b path) (first, second path) {
	if c.line(b) < c.line(a) {
		return b, a
	}
	return a, b
}

// namePath returns the path of the key that gives a target a name.
func (c *checker) namePath(p path, t Target, ch Challenge) path {
	switch id := c.cfg.Identity[t.Identity]; {
	case t.Identity == "":
		return p.child(ch.Type)
	case ch.Name == id.Host:
		return p.child("host")
	case ch.Name != t.Identity:
		return p.child("components")
	}
	return p
}

// checkPublicNames refuses names that no public CA certifies.
func (c *checker) checkPublicNames(p path, t Target) {
	own := func(ca string) bool { _, builtIn := acme.BuiltIn(ca); return !builtIn || c.cfg.CA[ca].Directory != "" }
	if slices.ContainsFunc(t.SignWith, own) {
		return
	}
	wildcards := map[string]bool{}
	for _, ch := range t.Challenges {
		if parent, ok := strings.CutPrefix(ch.Name, "*."); ok {
			wildcards[parent] = true
		}
	}
	for _, ch := range t.Challenges {
		p := c.namePath(p, t, ch)
		const remedy = `; for a CA of your own add a table [ca.NAME] and name it in sign_with`
		ip, err := netip.ParseAddr(ch.Name)
		_, parent, dotted := strings.Cut(ch.Name, ".")
		switch {
		case ch.Name == "":
		case err == nil && !isPublic(ip):
			c.report(p, "write a public address"+remedy, "%q is a private address, which public CAs do not certify", ch.Name)
		case err != nil && !dotted:
			c.report(p, "write the full name, with its domain"+remedy, "%q has one label, which public CAs do not certify", ch.Name)
		case wildcards[parent] && !strings.HasPrefix(ch.Name, "*."):
			c.report(p, "leave one of them out", `%q and "*.%s" stand on one certificate, which CAs refuse as redundant`, ch.Name, parent)
		}
	}
}

// isPublic reports whether an address can be reached from everywhere.
func isPublic(ip netip.Addr) bool { return ip.IsGlobalUnicast() && !ip.IsPrivate() }
