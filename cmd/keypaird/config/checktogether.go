package config

import (
	"net/netip"
	"slices"
	"strings"

	"keypaird/acme"
)

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
