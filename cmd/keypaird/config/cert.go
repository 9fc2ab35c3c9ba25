package config

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"keypaird/acme"
	"keypaird/cmd/keypaird/config/hostname"
	"keypaird/hooks/preset"
	"keypaird/renew/problem"
)

var (
	keyTypes = []string{"ec256", "ec384", "rsa2048", "rsa3072", "rsa4096"}
	Services = []string{"matrix", "xmpp", "mail", "smtp", "imap", "caldav", "sip", "web"} // of an identity
)

// checkIdentity checks an [identity] table and keeps it by the normal form of its
// domain.
func (c *checker) checkIdentity(key string, id Identity) {
	p := path{"identity", key}
	domain := c.hostName(p, key)
	host := p.child("host")
	if id.Host == "" {
		c.report(host, `name the server: host = "matrix.example.org"`, "is missing")
	} else if id.Host = c.hostName(host, id.Host); id.Host != "" && id.Host == domain {
		c.report(host, "name the server; a domain that is its own server needs only a [cert] table", "%q is the plain domain itself", id.Host)
	}
	components := p.child("components")
	id.Components = c.checkNames(components, id.Components, acme.DNS01, map[string]string{})
	for _, name := range id.Components {
		c.reportIf(name == domain || name == id.Host, components, "leave it out: it is certified already", "%q is the domain or its host", name)
	}
	c.reportIf(id.DNS == "", p.child("dns"), `name a [dns] table, or write "persist" for dns-persist-01; a domain that answers on port 80 itself needs only a [cert] table`, "is missing")
	c.checkAccount(p.child("dns"), id.DNS)
	c.checkAccount(p.child("host_dns"), id.HostDNS)
	c.checkList(p.child("services"), id.Services, Services, "", "%q is not a service")
	c.checkSettings(p, id.Key, id.Profile, id.SignWith)
	c.checkDeployments(p.child("deploy"), id.Deploy)
	if other, twice := c.identityPaths[domain]; twice {
		first, second := c.inFileOrder(other, p)
		c.report(second, "leave one of the tables out", "%q has a table already: [%v]", domain, first)
	} else if domain != "" {
		c.cfg.Identity[domain], c.identityPaths[domain] = id, p
	}
}

// checkCert checks a [cert] table and keeps it if its name can be that of a target.
func (c *checker) checkCert(key string, cert Cert) {
	p := path{"cert", key}
	if c.isSet(p.child("external")) {
		c.checkExternal(p, cert)
	} else {
		c.checkOrdered(p, &cert)
	}
	c.checkDeployments(p.child("deploy"), cert.Deploy)
	if !isTableName(key) {
		c.report(p, nameRemedy+"; the names to certify stand in http-01 and dns-01", "%q cannot be the name of a target", key)
		return
	}
	c.cfg.Cert[key] = cert
}

// checkOrdered checks a [cert] table with a certificate that a CA issues.
func (c *checker) checkOrdered(p path, cert *Cert) {
	seen := map[string]string{}
	cert.HTTP01 = c.checkNames(p.child("http-01"), cert.HTTP01, acme.HTTP01, seen)
	cert.TLSALPN01 = c.checkNames(p.child("tls-alpn-01"), cert.TLSALPN01, acme.TLSALPN01, seen)
	cert.DNS01 = c.checkNames(p.child("dns-01"), cert.DNS01, acme.DNS01, seen)
	cert.DNSPersist01 = c.checkNames(p.child("dns-persist-01"), cert.DNSPersist01, acme.DNSPersist01, seen)
	cert.TLSA = c.checkTLSA(p.child("tlsa"), cert.TLSA, slices.Collect(maps.Keys(seen)))
	c.reportIf(len(seen) == 0 && !c.reportedUnder(p), p, listNames, "certifies no name")
	switch {
	case cert.DNS == persist:
		c.report(p.child("dns"), "list the names under dns-persist-01 instead, and leave dns out", `"persist" is not an account`)
	case len(cert.DNS01) > 0 && cert.DNS == "":
		c.report(p.child("dns"), "name a [dns] table", "is missing for the names under dns-01")
	}
	c.checkAccount(p.child("dns"), cert.DNS)
	c.checkSettings(p, cert.Key, cert.Profile, cert.SignWith)
}

// checkTLSA normalises the names of TLSA records.
func (c *checker) checkTLSA(p path, list, certified []string) []string {
	var out []string
	for _, s := range list {
		name, host, why := hostname.TLSA(s)
		switch {
		case why != "":
			c.report(p, `write port, protocol and host: "_25._tcp.mx1.example.org"`, "%q %s", s, why)
		case slices.Contains(out, name):
			c.report(p, "name it once", "%q stands twice", s)
		case !slices.ContainsFunc(certified, func(n string) bool { return hostname.Covers(n, host, false) }):
			c.report(p, "name a host that stands under http-01, tls-alpn-01, dns-01 or dns-persist-01 here", "%q is about %q, which this certificate is not for", s, host)
		default:
			out = append(out, name)
		}
	}
	return out
}

// checkExternal checks a [cert] table with an external certificate.
func (c *checker) checkExternal(p path, cert Cert) {
	for _, key := range []string{"http-01", "tls-alpn-01", "dns-01", "dns-persist-01", "dns", "key", "profile", "sign_with", "preferred_chain", "tlsa"} {
		remedy := "remove it: an external certificate is not ordered"
		if strings.HasSuffix(key, "-01") {
			remedy = "remove it: an external certificate has its own names; or remove external, and keypaird obtains one"
		}
		c.reportIf(c.isSet(p.child(key)), p.child(key), remedy, "cannot be used with external")
	}
	at := p.child("external")
	c.checkExternalFile(at.child("chain"), cert.External.Chain, `name the file with the certificate and its intermediates: chain = "/root/external/chain.pem"`)
	c.checkExternalFile(at.child("key"), cert.External.Key, `name the file with its private key: key = "/root/external/key.pem"`)
	if x := cert.External; x.Key != "" && filepath.Clean(x.Key) == filepath.Clean(x.Chain) {
		c.report(at.child("key"), "put key and certificates into files of their own", "is the file of chain, too")
	}
}

// checkExternalFile checks a path. Whether the file can be used shows later: other
// certificates do not wait for it. What is no path may be the key itself, and is
// not repeated.
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
	name, err := hostname.Normal(s)
	switch {
	case err != nil:
		c.report(p, problem.Remedy(err), "%q %v", s, err)
	case hostname.IsAddress(name):
		c.report(p, "write a DNS name; addresses go into a [cert] table, under http-01", "%q is an IP address", s)
	case strings.HasPrefix(name, "*."):
		c.report(p, "write the name itself; wildcards go into a [cert] table, under dns-01", "%q is a wildcard", s)
	default:
		return name
	}
	return ""
}

// checkNames normalises the names that are validated by one challenge. seen has
// those of the table so far with theirs.
func (c *checker) checkNames(p path, list []string, challenge string, seen map[string]string) []string {
	var out []string
	atAddress := challenge == acme.HTTP01 || challenge == acme.TLSALPN01
	for _, s := range list {
		name, err := hostname.Normal(s)
		switch {
		case err != nil:
			c.report(p, problem.Remedy(err), "%q %v", s, err)
		case hostname.IsAddress(name) && !atAddress:
			c.report(p, "put it under http-01 of a [cert] table", "%q is an IP address, which only http-01 and tls-alpn-01 can validate", s)
		case strings.HasPrefix(name, "*.") && atAddress:
			c.report(p, "put it under dns-01", "%q is a wildcard, which %s cannot validate", s, challenge)
		case seen[name] == "":
			out, seen[name] = append(out, name), challenge
		case seen[name] != challenge:
			c.report(p, "leave it in one list", "%q stands under %s already", name, seen[name])
		}
	}
	return out
}

// checkSettings checks what may stand at the top, and in a table that overrides it.
func (c *checker) checkSettings(p path, key string, profile *string, signWith []string) {
	if key != "" {
		c.checkOneOf(p.child("key"), key, keyTypes, "is not a type of key")
	}
	if profile != nil && !hostname.IsToken(*profile) {
		c.report(p.child("profile"), "write the profile's name as the CA lists it", "%q is not a profile", *profile)
	}
	for i, ca := range signWith {
		if !slices.Contains(signWith[:i], ca) {
			c.checkEAB(p.child("sign_with"), ca)
		}
	}
	c.checkList(p.child("sign_with"), signWith, c.authorities(), " (or add a table [ca.NAME])", "no CA is called %q")
}

// checkDeployments checks where a target goes.
func (c *checker) checkDeployments(p path, list []string) {
	known := append(preset.Names(), slices.Sorted(maps.Keys(c.cfg.Deploy))...)
	c.checkList(p, list, known, " (or add a table [deploy.NAME])", "there is no deployment %q")
	for i, name := range list {
		if _, table := c.cfg.Deploy[name]; !table && !slices.Contains(list[:i], name) {
			c.checkOwners(p, p, c.cfg.Deployment(name))
		}
	}
}
