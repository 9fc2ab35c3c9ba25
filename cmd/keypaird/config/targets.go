package config

import (
	"cmp"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"keypaird/acme"
	"keypaird/acme/authority"
	"keypaird/cmd/keypaird/config/hostname"
	"keypaird/hooks"
)

// A Target is one certificate to keep alive, with all its settings.
type Target struct {
	Name           string
	Challenges     []Challenge // sorted by name
	Key            string
	Profile        string
	PreferredChain string
	SignWith       []string
	Deploy         []string
	Identity       string   // the plain domain it belongs to; "" for a [cert]
	Components     []string // of the identity
	Services       []string // likewise
	External       External // zero: it is ordered
	TLSA           []string // names of records
}

// A Challenge is a name and the challenge by which the CA validates it.
type Challenge struct {
	Name    string
	Type    string // challenge type
	Account string // for dns-01: the [dns] table
}

// Targets returns every target of this machine, sorted by name.
func (c *Config) Targets() []Target { return c.here(c.allTargets()) }

// allTargets returns every target of all machines, sorted by name.
func (c *Config) allTargets() []Target {
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

// union returns a with what only b has.
func union(a, b []string) []string {
	more := slices.DeleteFunc(slices.Clone(b), func(s string) bool { return slices.Contains(a, s) })
	return slices.Concat(a, more)
}

// identityTargets makes the two targets of an identity, or the one.
func (c *Config) identityTargets(domain string, id Identity) []Target {
	t := c.target(domain, id.Key, id.Profile, id.PreferredChain, id.SignWith, id.Deploy)
	t.Identity, t.Components, t.Services = domain, id.Components, id.Services
	host := t
	host.Name = id.Host
	host.add(challengeFor(id.HostDNS), id.Host)
	t.add(challengeFor(id.DNS), domain)
	t.add(challengeFor(id.DNS), id.Components...)
	if id.OneCertificate {
		t.add(challengeFor(id.HostDNS), id.Host)
		return []Target{t}
	}
	return []Target{t, host}
}

// challengeFor returns the challenge that a dns key asks for: "" is http-01.
func challengeFor(dns string) Challenge {
	switch dns {
	case "":
		return Challenge{Type: acme.HTTP01}
	case persist:
		return Challenge{Type: acme.DNSPersist01}
	}
	return Challenge{Type: acme.DNS01, Account: dns}
}

func (c *Config) certTarget(name string, cert Cert) Target {
	if cert.External != (External{}) {
		return Target{Name: name, Deploy: cert.Deploy, External: cert.External}
	}
	t := c.target(name, cert.Key, cert.Profile, cert.PreferredChain, cert.SignWith, cert.Deploy)
	t.TLSA = cert.TLSA
	t.add(Challenge{Type: acme.HTTP01}, cert.HTTP01...)
	t.add(Challenge{Type: acme.TLSALPN01}, cert.TLSALPN01...)
	t.add(Challenge{Type: acme.DNS01, Account: cert.DNS}, cert.DNS01...)
	t.add(Challenge{Type: acme.DNSPersist01}, cert.DNSPersist01...)
	return t
}

// target returns a target with the settings of the top where it has none.
func (c *Config) target(name, key string, profile, chain *string, signWith, deploy []string) Target {
	t := Target{
		Name: name, Key: cmp.Or(key, c.Key), Profile: c.Profile, PreferredChain: c.PreferredChain, SignWith: signWith, Deploy: deploy,
	}
	setIfGiven(&t.Profile, profile)
	setIfGiven(&t.PreferredChain, chain)
	if len(signWith) == 0 {
		t.SignWith = c.SignWith
	}
	return t
}

// add adds names that are validated by one challenge.
func (t *Target) add(by Challenge, names ...string) {
	for _, by.Name = range names {
		t.Challenges = append(t.Challenges, by)
	}
	slices.SortFunc(t.Challenges, func(a, b Challenge) int { return strings.Compare(a.Name, b.Name) })
}

// checkTargets checks what only shows when all targets are known: targets of one
// name, files of two owners, names that the CAs do not certify.
func (c *checker) checkTargets() {
	writers, reported := map[string][]output{}, map[string]bool{}
	c.files = hooks.FileIDs{}
	seen := map[string]Target{}
	targets := c.cfg.allTargets()
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
		c.checkStaging(p, t)
		c.checkOutputs(p, t, writers, reported)
	}
	for _, t := range targets {
		c.checkExternalNotWritten(c.tablePath(t), t, writers)
	}
	for _, name := range slices.Sorted(maps.Keys(c.cfg.Deploy)) {
		c.checkVerifyNames(name, targets)
	}
}

// checkVerifyNames refuses names in verify of a deployment that are no target's there.
// Those of an external certificate are not known.
func (c *checker) checkVerifyNames(deployment string, targets []Target) {
	var known []string
	for _, t := range targets {
		if !slices.Contains(t.Deploy, deployment) {
			continue
		}
		if t.External != (External{}) {
			return
		}
		for _, ch := range t.Challenges {
			known = append(known, ch.Name)
		}
	}
	for _, e := range c.cfg.Deploy[deployment].Verify {
		for _, name := range e.Names {
			normal, _ := hostname.Normal(name) // else that has been reported
			c.reportIf(len(known) > 0 && normal == name && !slices.Contains(known, name), path{"deploy", deployment, "verify"}, suggest(name, known),
				"no certificate that is deployed there is for %q", name)
		}
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
	case a.Identity == "" || b.Identity == "":
		if first[0] == "cert" {
			first, second = second, first // the [cert] is easier to rename
		}
		remedy = "give the [cert] table another name"
	case a.Name != a.Identity && b.Name != b.Identity:
		remedy = "give the host the same host_dns, key, profile, preferred_chain and sign_with in both tables"
	}
	c.report(second, remedy, "makes the target %q, as [%v] does", a.Name, first)
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
	own := func(ca string) bool {
		_, builtIn := authority.BuiltIn(ca)
		return !builtIn || c.cfg.CA[ca].Directory != ""
	}
	if slices.ContainsFunc(t.SignWith, own) {
		return
	}
	names := map[string]bool{}
	for _, ch := range t.Challenges {
		names[ch.Name] = true
	}
	for _, ch := range t.Challenges {
		p := c.namePath(p, t, ch)
		const remedy = `; for a CA of your own add a table [ca.NAME] and name it in sign_with`
		ip, err := netip.ParseAddr(ch.Name)
		_, parent, dotted := strings.Cut(ch.Name, ".")
		switch {
		case ch.Name == "":
		case err == nil && (!ip.IsGlobalUnicast() || ip.IsPrivate()):
			c.report(p, "write a public address"+remedy, "%q is a private address, which public CAs do not certify", ch.Name)
		case err != nil && !dotted:
			c.report(p, "write the full name, with its domain"+remedy, "%q has one label, which public CAs do not certify", ch.Name)
		case names["*."+parent] && !strings.HasPrefix(ch.Name, "*."):
			c.report(p, "leave one of them out", `%q and "*.%s" stand on one certificate, which CAs refuse as redundant`, ch.Name, parent)
		}
	}
}

// An output names what writes a file.
type output struct{ target, deployment, key, file string }

// checkOutputs notes where a target is deployed to, and refuses a file that two
// targets or deployments would write, or that is not theirs to write.
func (c *checker) checkOutputs(p path, t Target, writers map[string][]output, reported map[string]bool) {
	for i, name := range t.Deploy {
		if c.badDeploys[name] || slices.Contains(t.Deploy[:i], name) {
			continue
		}
		d := c.cfg.Deployment(name)
		for _, o := range d.Outputs() {
			for _, file := range (&hooks.Deployment{Chain: o.Template}).Paths(t.Name) {
				by := output{t.Name, name, o.Purpose, file}
				if remedy, problem := c.outputConflict(file, by, writers); problem != "" && !reported[name+" "+o.Purpose] {
					c.report(c.outputPath(p, by), remedy, "%s", problem)
					reported[name+" "+o.Purpose] = true // for one of perhaps thousands of targets
				}
			}
		}
	}
}

// outputConflict returns the problem with a file that is to be written, or "".
func (c *checker) outputConflict(file string, by output, writers map[string][]output) (remedy, problem string) {
	id := c.files.Of(file)
	other := slices.IndexFunc(writers[id], func(o output) bool { return c.cfg.shareNode(o.deployment, by.deployment) })
	taken, first := other >= 0, output{}
	if !taken {
		writers[id] = append(writers[id], by)
	} else if first = writers[id][other]; first.file != file {
		file += ", which is " + first.file + ","
	}
	self, _ := filepath.Abs(c.file)
	switch {
	case taken && first.target == by.target && first.deployment == by.deployment:
		return "give each a file of its own, or use combined for key and chain in one", file + " would hold both " + first.key + " and " + by.key
	case taken && first.target == by.target:
		return "give each deployment files of its own", file + " would be written for [deploy." + first.deployment + "] and [deploy." + by.deployment + "]"
	case taken:
		return "put {name} into the path: each target needs a file of its own", file + " would be written for the targets " + strconv.Quote(first.target) + " and " + strconv.Quote(by.target)
	case strings.HasPrefix(file, c.cfg.State+"/"):
		return "choose another directory, or let the server read " + filepath.Join(c.cfg.State, "certs", by.target, "live"), file + " lies in the state directory, which is keypaird's own"
	case file == self:
		return "choose another file", file + " is the configuration itself"
	}
	return "", ""
}

// outputPath returns where the file says what a deployment writes: in its table,
// or where a target names a preset.
func (c *checker) outputPath(target path, by output) path {
	table := path{"deploy", by.deployment}
	switch {
	case c.isSet(table.child(by.key)):
		return table.child(by.key)
	case c.isSet(table):
		return table
	}
	return target.child("deploy")
}

// checkExternalNotWritten reports external files that a deployment writes: it would
// overwrite the next certificate.
func (c *checker) checkExternalNotWritten(p path, t Target, writers map[string][]output) {
	for _, f := range []struct{ key, file string }{{"chain", t.External.Chain}, {"key", t.External.Key}} {
		if f.file == "" {
			continue
		}
		for _, by := range writers[c.files.Of(filepath.Clean(f.file))] {
			c.report(p.child("external", f.key), "keep the external files in another directory: keypaird copies them to where the server reads them",
				"%s is written by [deploy.%s] for the target %q", f.file, by.deployment, by.target)
		}
	}
}
