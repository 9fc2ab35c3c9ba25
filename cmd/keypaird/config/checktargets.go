package config

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"keypaird/acme"
	"keypaird/hooks"
)

// identities checks the [identity] tables and files them under the normal forms
// of their domains.
func (c *checker) identities() {
	tables := c.cfg.Identity
	c.cfg.Identity = map[string]Identity{}
	for _, key := range slices.Sorted(maps.Keys(tables)) {
		p := path{"identity", key}
		domain := c.hostName(p, key)
		id := c.identity(p, domain, tables[key])
		if other, twice := c.tableOf[domain]; twice {
			first, second := c.inOrder(other, p)
			c.wrong(second, "leave one of the tables out", "%q has a table already: [%v]", domain, first)
		} else if domain != "" {
			c.cfg.Identity[domain], c.tableOf[domain] = id, p
		}
	}
}

// identity checks one identity. domain is "" if it is none.
func (c *checker) identity(p path, domain string, id Identity) Identity {
	switch host := p.in("host"); {
	case id.Host == "":
		c.wrong(host, `name the server: host = "matrix.example.org"`, "is missing")
	default:
		id.Host = c.hostName(host, id.Host)
		if id.Host != "" && id.Host == domain {
			c.wrong(host, "name the server; a domain that is its own server needs only a [cert] table", "%q is the plain domain itself", id.Host)
		}
	}
	id.Components = c.names(p.in("components"), id.Components, acme.DNS01)
	for _, name := range id.Components {
		if name == domain || name == id.Host {
			c.wrong(p.in("components"), "leave it out: it is certified already", "%q is the domain or its host", name)
		}
	}
	if id.DNS == "" {
		c.wrong(p.in("dns"), `name a [dns] table, or write "persist" for dns-persist-01; a domain that answers on port 80 itself needs only a [cert] table`, "is missing")
	}
	c.account(p.in("dns"), id.DNS)
	c.account(p.in("host_dns"), id.HostDNS)
	c.services(p.in("services"), id.Services)
	c.targetSettings(p, id.Key, id.Profile, id.SignWith, id.Deploy)
	return id
}

// hostName normalises a name that can be neither an address nor a wildcard.
func (c *checker) hostName(p path, s string) string {
	name, err := NormalName(s)
	switch {
	case err != nil:
		c.wrong(p, remedyOf(err), "%q %v", s, err)
	case IsAddress(name):
		c.wrong(p, "write a DNS name; addresses go into a [cert] table, under http-01", "%q is an IP address", s)
	case strings.HasPrefix(name, "*."):
		c.wrong(p, "write the name itself; wildcards go into a [cert] table, under dns-01", "%q is a wildcard", s)
	default:
		return name
	}
	return ""
}

// names normalises a list of names that are proven in one way.
func (c *checker) names(p path, list []string, proof string) []string {
	var out []string
	for _, s := range list {
		name, err := NormalName(s)
		switch {
		case err != nil:
			c.wrong(p, remedyOf(err), "%q %v", s, err)
		case IsAddress(name) && proof != acme.HTTP01:
			c.wrong(p, "put it under http-01 of a [cert] table", "%q is an IP address, which DNS cannot prove", s)
		case strings.HasPrefix(name, "*.") && proof == acme.HTTP01:
			c.wrong(p, "put it under dns-01", "%q is a wildcard, which http-01 cannot prove", s)
		case !slices.Contains(out, name):
			out = append(out, name)
		}
	}
	return out
}

// account checks a reference to a [dns] table.
func (c *checker) account(p path, name string) {
	if _, ok := c.cfg.DNS[name]; ok || name == "" || name == persist {
		return
	}
	remedy := "add a table [" + path{"dns", name}.String() + "]"
	if near := Nearest(name, append(slices.Collect(maps.Keys(c.cfg.DNS)), persist)); near != "" {
		remedy = suggest(name, []string{near})
	}
	c.wrong(p, remedy, "there is no table [%v]", path{"dns", name})
}

// services checks what an identity offers.
func (c *checker) services(p path, list []string) {
	for i, s := range list {
		c.oneOf(p, s, services, "is not a service")
		if slices.Contains(list[:i], s) {
			c.wrong(p, "name it once", "%q stands twice", s)
		}
	}
}

// targetSettings checks what a target may override, and where it goes.
func (c *checker) targetSettings(p path, key string, profile *string, signWith, deploy []string) {
	text := ""
	if profile != nil {
		text = *profile
	}
	c.settings(p, key, signWith, text)
	known := append(hooks.Presets(), slices.Collect(maps.Keys(c.cfg.Deploy))...)
	p = p.in("deploy")
	for i, name := range deploy {
		_, table := c.cfg.Deploy[name]
		_, preset := hooks.Preset(name)
		switch {
		case !table && !preset:
			c.wrong(p, suggest(name, known)+" (or add a table [deploy.NAME])", "there is no deployment %q", name)
		case slices.Contains(deploy[:i], name):
			c.wrong(p, "name it once", "%q stands twice", name)
		case !table:
			c.owners(p, p, c.cfg.Deployment(name))
		}
	}
}

// certs checks the [cert] tables.
func (c *checker) certs() {
	for _, key := range slices.Sorted(maps.Keys(c.cfg.Cert)) {
		cert := c.cfg.Cert[key]
		p := path{"cert", key}
		c.cfg.Cert[key] = c.cert(p, cert)
		if !isTableName(key) {
			c.wrong(p, nameRemedy+"; the names to certify stand in http-01 and dns-01", "%q cannot be the name of a target", key)
			delete(c.cfg.Cert, key)
		}
	}
}

func (c *checker) cert(p path, cert Cert) Cert {
	if c.isSet(p.in("external")) {
		c.boughtCert(p, cert)
		return cert
	}
	cert.HTTP01 = c.names(p.in("http-01"), cert.HTTP01, acme.HTTP01)
	cert.DNS01 = c.names(p.in("dns-01"), cert.DNS01, acme.DNS01)
	cert.DNSPersist01 = c.names(p.in("dns-persist-01"), cert.DNSPersist01, acme.DNSPersist01)
	c.once(p, cert)
	cert.TLSA = c.tlsa(p.in("tlsa"), cert)
	if len(cert.HTTP01)+len(cert.DNS01)+len(cert.DNSPersist01) == 0 && !c.wrongIn(p) {
		c.wrong(p, `list names by their proof: http-01 = ["mail.example.org"]`, "certifies no name")
	}
	switch {
	case cert.DNS == persist:
		c.wrong(p.in("dns"), "list the names under dns-persist-01 instead, and leave dns out", `"persist" is not an account`)
	case len(cert.DNS01) > 0 && cert.DNS == "":
		c.wrong(p.in("dns"), "name a [dns] table", "is missing for the names under dns-01")
	}
	c.account(p.in("dns"), cert.DNS)
	c.targetSettings(p, cert.Key, cert.Profile, cert.SignWith, cert.Deploy)
	return cert
}

// once refuses a name that is to be proven in two ways.
func (c *checker) once(p path, cert Cert) {
	seen := map[string]string{}
	for _, list := range []struct {
		proof string
		names []string
	}{{acme.HTTP01, cert.HTTP01}, {acme.DNS01, cert.DNS01}, {acme.DNSPersist01, cert.DNSPersist01}} {
		for _, name := range list.names {
			if first, ok := seen[name]; ok {
				c.wrong(p.in(list.proof), "leave it in one list", "%q stands under %s already", name, first)
			}
			seen[name] = list.proof
		}
	}
}

// together checks what only shows when all targets are known: targets of one
// name, files of two owners, names that the CAs do not certify.
func (c *checker) together() {
	writers, told := map[string]written{}, map[string]bool{}
	seen := map[string]Target{}
	targets := c.cfg.Targets()
	for _, t := range targets {
		if t.Name == "" { // a host that is none
			continue
		}
		p := c.place(t)
		if first, ok := seen[t.Name]; ok {
			c.collision(first, t)
			continue
		}
		seen[t.Name] = t
		c.certifiable(p, t)
		c.files(p, t, writers, told)
	}
	for _, t := range targets {
		c.boughtApart(c.place(t), t, writers)
	}
}

// place is the table that makes a target.
func (c *checker) place(t Target) path {
	if t.Identity == "" {
		return path{"cert", t.Name}
	}
	return c.tableOf[t.Identity]
}

// collision notes that two tables make a target of the same name.
func (c *checker) collision(a, b Target) {
	first, second := c.inOrder(c.place(a), c.place(b))
	remedy := "one target cannot be the domain of one identity and the host of another: leave one table out, or make it a [cert]"
	switch {
	case a.Identity == b.Identity: // a host that is its own domain, which has been told
		return
	case a.Identity == "":
		first, second = c.place(b), c.place(a) // the [cert] is easier to rename
		remedy = "give the [cert] table another name"
	case b.Identity == "":
		first, second = c.place(a), c.place(b)
		remedy = "give the [cert] table another name"
	case a.Name != a.Identity && b.Name != b.Identity:
		remedy = "let both tables prove the host alike: the same host_dns, key, profile, preferred_chain and sign_with"
	}
	c.wrong(second, remedy, "makes the target %q, as [%v] does", a.Name, first)
}

// inOrder returns two places in the order of the file.
func (c *checker) inOrder(a, b path) (first, second path) {
	if c.line(b) < c.line(a) {
		return b, a
	}
	return a, b
}

// listOf is where the file says that a target has a name.
func (c *checker) listOf(p path, t Target, proof Challenge) path {
	switch id := c.cfg.Identity[t.Identity]; {
	case t.Identity == "":
		return p.in(proof.Type)
	case proof.Name == id.Host:
		return p.in("host")
	case proof.Name != t.Identity:
		return p.in("components")
	}
	return p
}

// certifiable refuses names that no public CA certifies.
func (c *checker) certifiable(p path, t Target) {
	own := func(ca string) bool { _, builtIn := acme.BuiltIn(ca); return !builtIn || c.cfg.CA[ca].Directory != "" }
	if slices.ContainsFunc(t.SignWith, own) {
		return
	}
	wildcards := map[string]bool{}
	for _, proof := range t.Challenges {
		if parent, ok := strings.CutPrefix(proof.Name, "*."); ok {
			wildcards[parent] = true
		}
	}
	for _, proof := range t.Challenges {
		p := c.listOf(p, t, proof)
		const remedy = `; for a CA of your own add a table [ca.NAME] and name it in sign_with`
		ip, err := netip.ParseAddr(proof.Name)
		_, parent, dotted := strings.Cut(proof.Name, ".")
		switch {
		case proof.Name == "":
		case err == nil && !isPublic(ip):
			c.wrong(p, "write a public address"+remedy, "%q is a private address, which public CAs do not certify", proof.Name)
		case err != nil && !dotted:
			c.wrong(p, "write the full name, with its domain"+remedy, "%q has one label, which public CAs do not certify", proof.Name)
		case wildcards[parent] && !strings.HasPrefix(proof.Name, "*."):
			c.wrong(p, "leave one of them out", `%q and "*.%s" stand on one certificate, which CAs refuse as redundant`, proof.Name, parent)
		}
	}
}

// isPublic tells whether an address can be reached from everywhere.
func isPublic(ip netip.Addr) bool { return ip.IsGlobalUnicast() && !ip.IsPrivate() }
