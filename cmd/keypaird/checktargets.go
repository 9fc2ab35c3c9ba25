package main

import (
	"fmt"
	"io/fs"
	"maps"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"keypaird/acme"
	"keypaird/hooks"
	"keypaird/hooks/probe"
	"keypaird/renew/keypair"
)

// identities checks the [identity] tables.
func (c *checker) identities() {
	normal := map[string]IdentityConfig{}
	for _, key := range slices.Sorted(maps.Keys(c.cfg.Identity)) {
		id := c.cfg.Identity[key]
		p := path{"identity", key}
		domain := c.hostName(p, key)
		if _, twice := normal[domain]; twice && domain != "" {
			c.wrong(p, "leave one of them out", "the domain has a second table")
		}
		if id.Host == "" {
			c.wrong(p.in("host"), `name the server: host = "matrix.`+key+`"`, "is missing")
		} else {
			id.Host = c.hostName(p.in("host"), id.Host)
		}
		if id.Host != "" && id.Host == domain {
			c.wrong(p.in("host"), "name the server, or use a [cert] table for a domain that is its own server", "is the plain domain itself")
		}
		id.Components = c.names(p.in("components"), id.Components, "dns-01")
		for _, name := range id.Components {
			if name == domain || name == id.Host {
				c.wrong(p.in("components"), "leave it out: it is certified already", "%q is the domain or its host", name)
			}
		}
		if id.DNS == "" {
			c.wrong(p.in("dns"), `name a [dns] table, or write "persist" for dns-persist-01`, "is missing: http-01 cannot prove a plain domain that points elsewhere")
		}
		c.account(p.in("dns"), id.DNS)
		c.account(p.in("host_dns"), id.HostDNS)
		for _, s := range id.Services {
			if !slices.Contains(services, s) {
				c.wrong(p.in("services"), "write some of: "+strings.Join(services, " "), "%q is not a service", s)
			}
		}
		c.targetSettings(p, id.Key, id.Profile, id.SignWith, id.Deploy)
		normal[domain] = id
	}
	if c.cfg.Identity != nil {
		c.cfg.Identity = normal
	}
}

// hostName normalises a name that can be neither an address nor a wildcard.
func (c *checker) hostName(p path, s string) string {
	name, err := normalName(s)
	switch {
	case err != nil:
		c.wrong(p, remedyOf(err), "%q %v", s, err)
		return ""
	case isAddress(name), strings.HasPrefix(name, "*."):
		c.wrong(p, "write a DNS name; addresses and wildcards go in a [cert] table", "%q is not the name of a domain or host", s)
		return ""
	}
	return name
}

// names normalises a list of names that are proven in one way.
func (c *checker) names(p path, list []string, proof string) []string {
	var out []string
	for _, s := range list {
		name, err := normalName(s)
		switch {
		case err != nil:
			c.wrong(p, remedyOf(err), "%q %v", s, err)
		case isAddress(name) && proof != acme.HTTP01:
			c.wrong(p, "prove addresses by http-01", "%q is an IP address, which DNS cannot prove", s)
		case strings.HasPrefix(name, "*.") && proof == acme.HTTP01:
			c.wrong(p, "prove wildcards by dns-01", "%q is a wildcard, which http-01 cannot prove", s)
		case !slices.Contains(out, name):
			out = append(out, name)
		}
	}
	return out
}

// account checks a reference to a [dns] table.
func (c *checker) account(p path, name string) {
	if name == "" || name == persist {
		return
	}
	if _, ok := c.cfg.DNS[name]; ok {
		return
	}
	remedy := "add a table [dns." + name + "]"
	if near := nearest(name, c.cfg.DNS); near != "" {
		remedy = fmt.Sprintf("did you mean %q?", near)
	}
	c.wrong(p, remedy, "there is no [dns.%s]", name)
}

// targetSettings checks what a target may override, and where it goes.
func (c *checker) targetSettings(p path, key string, profile *string, signWith, deploy []string) {
	text := ""
	if profile != nil {
		text = *profile
	}
	c.settings(p, &key, signWith, text)
	for i, name := range deploy {
		_, table := c.cfg.Deploy[name]
		_, preset := hooks.Preset(name)
		switch {
		case !table && !preset:
			c.wrong(p.in("deploy"), fmt.Sprintf("add a table [deploy.%s], or name a preset: %s", name, strings.Join(hooks.Presets(), " ")), "there is no deployment %q", name)
		case slices.Contains(deploy[:i], name):
			c.wrong(p.in("deploy"), "name it once", "%q stands twice", name)
		case !table:
			c.owners(p.in("deploy"), c.cfg.Deployment(name))
		}
	}
}

// certs checks the [cert] tables.
func (c *checker) certs() {
	for _, key := range slices.Sorted(maps.Keys(c.cfg.Cert)) {
		cert := c.cfg.Cert[key]
		p := path{"cert", key}
		if err := keypair.CheckName(key); err != nil {
			c.wrong(p, "use a-z, 0-9, dot, hyphen and underscore; the names to certify stand in http-01 and dns-01", "%q cannot name a target", key)
		}
		cert.HTTP01 = c.names(p.in("http-01"), cert.HTTP01, acme.HTTP01)
		cert.DNS01 = c.names(p.in("dns-01"), cert.DNS01, acme.DNS01)
		cert.DNSPersist01 = c.names(p.in("dns-persist-01"), cert.DNSPersist01, acme.DNSPersist01)
		c.once(p, cert)
		if len(cert.HTTP01)+len(cert.DNS01)+len(cert.DNSPersist01) == 0 && !c.wrongIn(p) {
			c.wrong(p, `list names by their proof: http-01 = ["mail.example.org"]`, "certifies no name")
		}
		switch {
		case len(cert.DNS01) > 0 && cert.DNS == "":
			c.wrong(p.in("dns"), "name a [dns] table", "is missing for the names under dns-01")
		case cert.DNS == persist:
			c.wrong(p.in("dns"), "list the names under dns-persist-01 instead", `"persist" is not an account`)
		}
		c.account(p.in("dns"), cert.DNS)
		c.targetSettings(p, cert.Key, cert.Profile, cert.SignWith, cert.Deploy)
		c.cfg.Cert[key] = cert
	}
	if len(c.cfg.Identity)+len(c.cfg.Cert) == 0 && len(c.mistakes) == 0 {
		c.wrong(nil, `add a table [identity."example.org"] or [cert.NAME]; the examples are a start`, "no certificate is configured")
	}
}

// wrongIn reports whether a mistake below p has been noted.
func (c *checker) wrongIn(p path) bool {
	return slices.ContainsFunc(c.mistakes, func(m Mistake) bool { return strings.HasPrefix(m.Key, p.String()) })
}

// once refuses a name that is to be proven in two ways.
func (c *checker) once(p path, cert CertConfig) {
	seen := map[string]string{}
	for _, list := range []struct {
		proof string
		names []string
	}{{acme.HTTP01, cert.HTTP01}, {acme.DNS01, cert.DNS01}, {acme.DNSPersist01, cert.DNSPersist01}} {
		for _, name := range list.names {
			if first, ok := seen[name]; ok {
				c.wrong(p.in(list.proof), "leave it in one list", "%q is proven by %s already", name, first)
			}
			seen[name] = list.proof
		}
	}
}

// deploy checks a [deploy] table.
func (c *checker) deploy(name string, d DeployConfig) {
	p := path{"deploy", name}
	c.tableName(p, name)
	if _, ok := hooks.Preset(d.Preset); d.Preset != "" && !ok {
		c.wrong(p.in("preset"), "write one of: "+strings.Join(hooks.Presets(), " "), "there is no preset %q", d.Preset)
	}
	for _, f := range []struct {
		key  string
		path *string
	}{{"chain", d.Chain}, {"key", d.Key}, {"combined", d.Combined}, {"socket", d.Socket}} {
		if f.path != nil && *f.path != "" {
			c.template(p.in(f.key), *f.path, f.key != "socket")
		}
	}
	c.mode(p.in("chain_mode"), d.ChainMode, 0o777)
	c.mode(p.in("key_mode"), d.KeyMode, 0o770)
	for _, f := range []struct {
		key  string
		argv *[]string
	}{{"check", d.Check}, {"reload", d.Reload}} {
		if f.argv != nil {
			c.program(p.in(f.key), *f.argv)
		}
	}
	for _, v := range d.Verify {
		if _, err := probe.ParseEndpoint(v); err != nil {
			c.wrong(p.in("verify"), `write "[proto:]host:port": "127.0.0.1:443", "xmpp-server:127.0.0.1:5269"`, "%v", err)
		}
	}
	if !c.wrongIn(p) {
		full := c.cfg.Deployment(name)
		c.owners(p, full)
		if len(full.Paths("x")) == 0 && len(full.Reload) == 0 && len(full.Verify) == 0 {
			c.wrong(p, "set chain and key, or reload, or preset", "does nothing")
		}
	}
}

// template checks a path that may hold {name}.
func (c *checker) template(p path, s string, named bool) {
	bare := strings.ReplaceAll(s, "{name}", "")
	switch {
	case !filepath.IsAbs(s):
		c.wrong(p, "write the path from / on", "%q is not an absolute path", s)
	case strings.ContainsAny(bare, "{}") || !named && bare != s:
		c.wrong(p, "{name} is the only one there is, for files of pairs", "%q holds an unknown placeholder", s)
	case filepath.Clean(s) != s || strings.ContainsRune(s, 0):
		c.wrong(p, "write it as "+filepath.Clean(s), "%q is not a plain path", s)
	}
}

// mode checks permissions.
func (c *checker) mode(p path, s *string, allowed uint64) {
	if s == nil {
		return
	}
	m, err := strconv.ParseUint(*s, 8, 16)
	switch {
	case err != nil || m > 0o777 || m == 0:
		c.wrong(p, `write octal permissions: "0640"`, "%q is not a file mode", *s)
	case m&^allowed != 0:
		c.wrong(p, `write "0600", or "0640" with the server's group`, "%q lets others at a private key", *s)
	case m&0o111 != 0:
		c.wrong(p, `write it without execution: "0640"`, "%q makes a program of it", *s)
	}
}

// owners looks owner and group up.
func (c *checker) owners(p path, d hooks.Deployment) {
	if _, err := strconv.ParseUint(d.Owner, 10, 31); d.Owner != "" && err != nil {
		if _, err := user.Lookup(d.Owner); err != nil {
			c.wrong(p.in("owner"), "set owner in [deploy."+d.Name+"] to a user of this machine", "there is no user %q", d.Owner)
		}
	}
	if _, err := strconv.ParseUint(d.Group, 10, 31); d.Group != "" && err != nil {
		if _, err := user.LookupGroup(d.Group); err != nil {
			c.wrong(p.in("group"), "set group in [deploy."+d.Name+"] to a group of this machine", "there is no group %q", d.Group)
		}
	}
}

// fileMode reads permissions that have been checked.
func fileMode(s string) fs.FileMode {
	m, _ := strconv.ParseUint(s, 8, 16)
	return fs.FileMode(m)
}

// together checks what only shows when all is known: targets of one name, files
// of two owners, single labels at public CAs.
func (c *checker) together() {
	owner := map[string]string{} // of a path
	seen := map[string]path{}
	for _, t := range c.cfg.Targets() {
		p := c.place(t)
		if first, ok := seen[t.Name]; ok {
			c.wrong(p, "rename the [cert] table, or leave one out", "the target %q is made by %s too", t.Name, first)
			continue
		}
		seen[t.Name] = p
		c.public(p, t)
		for _, name := range t.Deploy {
			d := c.cfg.Deployment(name)
			for _, file := range d.Paths(t.Name) {
				who := fmt.Sprintf("%s of target %q", name, t.Name)
				if first, ok := owner[file]; ok {
					c.wrong(path{"deploy", name}, "give each a path of its own, with {name}", "%s would be written for %s and for %s", file, first, who)
				}
				owner[file] = who
				if strings.HasPrefix(file, c.cfg.State+"/") {
					c.wrong(path{"deploy", name}, "write elsewhere, or let the server read "+c.cfg.State+"/certs/"+t.Name+"/live", "%s lies in the state directory", file)
				}
			}
		}
	}
}

// place is the table that makes a target.
func (c *checker) place(t TargetConfig) path {
	if t.Identity == "" {
		return path{"cert", t.Name}
	}
	for key := range c.values["identity"].(map[string]any) { // as it is spelt in the file
		if name, err := normalName(key); err == nil && name == t.Identity {
			return path{"identity", key}
		}
	}
	return path{"identity", t.Identity}
}

// public refuses names that no public CA certifies.
func (c *checker) public(p path, t TargetConfig) {
	ours := func(ca string) bool { return c.cfg.CA[ca].Directory != "" }
	for _, proof := range t.Proofs {
		if !strings.Contains(proof.Name, ".") && !isAddress(proof.Name) && !slices.ContainsFunc(t.SignWith, ours) {
			c.wrong(p, "write the full name, with its domain", "%q has one label, which public CAs do not certify", proof.Name)
		}
	}
}
