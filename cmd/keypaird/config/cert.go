package config

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"keypaird/acme"
	"keypaird/hooks/preset"
	"keypaird/renew/problem"
)

var (
	keyTypes = []string{"ec256", "ec384", "rsa2048", "rsa3072", "rsa4096"}
	services = []string{"matrix", "xmpp", "mail", "smtp", "imap", "caldav", "sip", "web"}
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

// checkServices checks the services of an identity.
func (c *checker) checkServices(p path, list []string) {
	for i, s := range list {
		c.checkOneOf(p, s, services, "is not a service")
		if slices.Contains(list[:i], s) {
			c.report(p, "name it once", "%q stands twice", s)
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

// checkTLSA checks the names of TLSA records.
func (c *checker) checkTLSA(p path, cert Cert) []string {
	var out []string
	names := slices.Concat(cert.HTTP01, cert.DNS01, cert.DNSPersist01)
	for _, s := range cert.TLSA {
		name, host, why := TLSAName(s)
		switch {
		case why != "":
			c.report(p, `write port, protocol and host: "_25._tcp.mx1.example.org"`, "%q %s", s, why)
		case slices.Contains(out, name):
			c.report(p, "name it once", "%q stands twice", s)
		case !slices.ContainsFunc(names, func(n string) bool { return Covers(n, host, false) }):
			c.report(p, "name a host that stands under http-01, dns-01 or dns-persist-01 here", "%q is about %q, which this certificate is not for", s, host)
		default:
			out = append(out, name)
		}
	}
	return out
}

// checkExternal checks a [cert] table with an external certificate.
func (c *checker) checkExternal(p path, cert Cert) {
	for _, key := range []string{"http-01", "dns-01", "dns-persist-01"} {
		if c.isSet(p.child(key)) {
			c.report(p.child(key), "remove it: an external certificate has its own names; or remove external, and keypaird obtains one", "cannot be used with external")
		}
	}
	for _, key := range []string{"dns", "key", "profile", "sign_with", "preferred_chain", "tlsa"} {
		if c.isSet(p.child(key)) {
			c.report(p.child(key), "remove it: an external certificate is not ordered", "cannot be used with external")
		}
	}
	at := p.child("external")
	c.checkExternalFile(at.child("chain"), cert.External.Chain, `name the file with the certificate and its intermediates: chain = "/root/external/chain.pem"`)
	c.checkExternalFile(at.child("key"), cert.External.Key, `name the file with its private key: key = "/root/external/key.pem"`)
	if x := cert.External; x.Key != "" && filepath.Clean(x.Key) == filepath.Clean(x.Chain) {
		c.report(at.child("key"), "put key and certificates into files of their own", "is the file of chain, too")
	}
	c.checkTargetSettings(p, "", nil, nil, cert.Deploy)
}

// checkExternalFile checks a path. Whether the file can be used shows later: it may
// come and go while other certificates want to be cared for. What is no path may
// be the key itself, and is not repeated.
func (c *checker) checkExternalFile(p path, file, remedy string) {
	switch {
	case file == "":
		c.report(p, remedy, "is missing")
	case !filepath.IsAbs(file) || strings.ContainsRune(file, 0):
		c.report(p, "write the path of the file from / on", "is not an absolute path")
	case strings.HasPrefix(filepath.Clean(file), c.cfg.State+"/"):
		c.report(p, "put the file into another directory: keypaird copies it to where it keeps pairs", "%s lies in the state directory, which is keypaird's own", file)
	}
}

// hostName normalises a name that can be neither an address nor a wildcard.
func (c *checker) hostName(p path, s string) string {
	name, err := NormalName(s)
	switch {
	case err != nil:
		c.report(p, problem.Remedy(err), "%q %v", s, err)
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
			c.report(p, problem.Remedy(err), "%q %v", s, err)
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

// checkSettings checks what may stand at the top and in a target.
func (c *checker) checkSettings(p path, key string, signWith []string, profile string) {
	if key != "" {
		c.checkOneOf(p.child("key"), key, keyTypes, "is not a type of key")
	}
	if !plainToken.MatchString(profile) {
		c.report(p.child("profile"), "write the profile's name as the CA lists it", "%q is not a profile", profile)
	}
	list := p.child("sign_with")
	known := append(acme.BuiltInNames(), slices.Sorted(maps.Keys(c.cfg.CA))...)
	for i, name := range signWith {
		switch {
		case slices.Contains(signWith[:i], name):
			c.report(list, "name it once", "%q stands twice", name)
		case slices.Contains(known, name):
			c.checkEAB(list, name)
		default:
			c.report(list, suggest(name, known)+" (or add a table [ca.NAME])", "no CA is called %q", name)
		}
	}
}
