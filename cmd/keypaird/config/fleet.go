package config

import (
	"cmp"
	"crypto/tls"
	"maps"
	"reflect"
	"slices"
	"strings"

	files "keypaird/cmd/keypaird/config/file"
	"keypaird/cmd/keypaird/config/hostname"

	"github.com/BurntSushi/toml"

	"keypaird/acme/authority"
	"keypaird/cmd/keypaird/config/fleetrule"
	"keypaird/renew/fleet/wave"
	"keypaird/renew/problem"
)

// decodeNodes decodes [fleet.nodes]: the order of its lines matters.
func (d *document) decodeNodes(p path, to *Nodes) {
	table := d.table(p)
	if table == nil {
		d.reportUndecoded(p, "write [fleet.nodes], and below it a line for each node", "is %s, not a table", d.kind(p))
		return
	}
	names := slices.Collect(maps.Keys(table))
	place := func(name string) int {
		return slices.IndexFunc(d.meta.Keys(), func(key toml.Key) bool { return slices.Equal(key, toml.Key(p.child(name))) })
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(place(a)-place(b), strings.Compare(a, b)) })
	for _, name := range names {
		p, node := p.child(name), fleetrule.Node{Name: name}
		if d.table(p) != nil {
			d.reportUndecoded(p, `put a name with dots in quotes: "`+name+`.example.org" = "..."`, "is a table, not the line of a node")
			continue
		}
		var line string
		if d.meta.PrimitiveDecode(d.value(p), &line) == nil {
			node.Lines = []string{line}
		} else {
			d.decodeList(p, reflect.ValueOf(&node.Lines).Elem())
		}
		*to = append(*to, node)
	}
}

// checkFleet checks the [fleet] table. It comes first: some files are on other nodes.
func (c *checker) checkFleet() {
	p, f := path{"fleet"}, &c.cfg.Fleet
	if !c.isSet(p) {
		return
	}
	c.reportIf(len(f.Engine) == 0, p.child("engine"), `name its members: engine = ["https://10.0.0.1:2379"]`, "names no member")
	for i, s := range f.Engine {
		c.reportError(p.child("engine"), fleetrule.Endpoint(s))
		c.reportIf(slices.Contains(f.Engine[:i], s), p.child("engine"), "name it once", "%q stands twice", s)
	}
	c.reportError(p.child("prefix"), fleetrule.Prefix(f.Prefix))
	c.checkEngineTLS(p.child("tls"), f)
	c.checkEngineUser(p, f)
	nodes := p.child("nodes")
	c.reportIf(len(f.Nodes) == 0, nodes, "run keypaird fleet key on each node, and write what it prints below [fleet.nodes]", "names no node")
	f.Nodes.ReadKeys(func(node string, err error) { c.reportError(nodes.child(node), err) })
	c.reportIf(len(f.Order) == 0, p.child("order"), "name the nodes that may order certificates, the first choice first", "names no node")
	c.checkNodeNames(p.child("order"), f.Order)
	c.reportError(p.child("waves"), wave.Check(f.Waves))
	c.checkThisNode(p, f)
	if f.PasswordFile != "" {
		f.User = cmp.Or(f.User, f.Node)
	}
	c.noSecrets = c.noSecrets || !c.cfg.OrdersHere()
}

// checkEngineTLS checks the files that the engine is reached with.
func (c *checker) checkEngineTLS(p path, f *Fleet) {
	encrypted := slices.ContainsFunc(f.Engine, func(s string) bool { return !strings.HasPrefix(s, "http:") })
	c.reportIf(c.isSet(p) && !encrypted, p, "write https in engine, or leave tls out", "is only for an engine with https")
	if file := f.TLS.CA; file != "" && c.checkAbsolute(p.child("ca"), file, "write the path from / on") && !c.noSecrets {
		if _, err := authority.ReadRoots(file, files.MaxSmall); err != nil {
			c.report(p.child("ca"), cmp.Or(problem.Remedy(err), "name a PEM file with the certificate of the CA that certified the engine"), "%s: %v", file, err)
		}
	}
	const both = "set both, or none and user with password_file instead"
	c.reportIf(f.TLS.Cert == "" && f.TLS.Key != "", p.child("cert"), both, "is missing beside key")
	c.reportIf(f.TLS.Cert != "" && f.TLS.Key == "", p.child("key"), both, "is missing beside cert")
	if f.TLS.Cert == "" || f.TLS.Key == "" || !c.checkAbsolute(p.child("cert"), f.TLS.Cert, "write the path from / on") {
		return
	}
	key, ok := c.readSecret(p.child("key"), f.TLS.Key)
	if !ok || c.noSecrets {
		return
	}
	cert, err := files.ReadSmall(f.TLS.Cert)
	if err != nil {
		c.report(p.child("cert"), "put the certificate there by which the engine knows this node", "%s: %v", f.TLS.Cert, err)
	} else if _, err := tls.X509KeyPair(cert, key); err != nil {
		c.report(p.child("cert"), "name a certificate and its private key in PEM", "%s and %s are not a pair: %v", f.TLS.Cert, f.TLS.Key, err)
	}
}

// checkEngineUser checks how a node gives its name to an engine without client certificates.
func (c *checker) checkEngineUser(p path, f *Fleet) {
	c.reportIf(f.User != "" && f.PasswordFile == "", p.child("password_file"), "set it, or leave user out", "is missing beside user")
	c.reportIf(!hostname.IsToken(f.User), p.child("user"), "use a-z A-Z 0-9 . _ -", "%q is not the name of a user", f.User)
	if f.PasswordFile == "" {
		return
	}
	if data, ok := c.readSecret(p.child("password_file"), f.PasswordFile); ok && !c.noSecrets {
		c.reportIf(strings.TrimSpace(string(data)) == "", p.child("password_file"), "put the password there", "%s is empty", f.PasswordFile)
	}
}

// checkNodeNames checks a list of nodes.
func (c *checker) checkNodeNames(p path, list []string) {
	if known := c.cfg.Fleet.Nodes.Names(); len(known) > 0 {
		c.checkList(p, list, known, " (or add its line to [fleet.nodes])", "%q is not in [fleet.nodes]")
	}
}

// checkThisNode finds the name of this node: as it is written, or the name of the host.
func (c *checker) checkThisNode(p path, f *Fleet) {
	known := f.Nodes.Names()
	if len(known) == 0 {
		return
	}
	if f.Node != "" {
		c.checkNodeNames(p.child("node"), []string{f.Node})
		return
	}
	host, err := c.hostname()
	if err != nil {
		c.report(p.child("node"), "write the name of this node in [fleet.nodes]", "the name of this machine is not known: %v", err)
		return
	}
	f.Node, err = f.Nodes.Named(host)
	c.reportError(p.child("nodes"), err)
}

// checkDeployNodes checks nodes of a [deploy] table.
func (c *checker) checkDeployNodes(p path, list []string) {
	if !c.isSet(p) {
		return
	}
	c.reportIf(!c.isSet(path{"fleet"}), p, "leave nodes out, or add a [fleet] table", "there is no [fleet]")
	c.reportIf(len(list) == 0, p, "name the nodes, or leave nodes out for all", "names no node")
	c.checkNodeNames(p, list)
}

// checkIdleNodes reports nodes that no certificate is for.
func (c *checker) checkIdleNodes() {
	idle := c.cfg.Fleet.Nodes.Names()
	for _, audience := range c.cfg.Audiences() {
		idle = slices.DeleteFunc(idle, func(name string) bool { return slices.Contains(audience, name) })
	}
	for _, name := range idle {
		c.reportIf(len(c.mistakes) == 0, path{"fleet", "nodes", name}, "name it in nodes of a deployment, or take it out of [fleet.nodes]", "no certificate is for this node")
	}
}

// OrdersHere reports whether this machine may order certificates.
func (c *Config) OrdersHere() bool {
	return !c.InFleet() || slices.Contains(c.Fleet.Order, c.Fleet.Node)
}

// InFleet reports whether there is a [fleet].
func (c *Config) InFleet() bool { return len(c.Fleet.Nodes) > 0 }

// nodesOf returns the nodes of a deployment.
func (c *Config) nodesOf(deployment string) []string {
	if nodes := c.Deploy[deployment].Nodes; len(nodes) > 0 {
		return nodes
	}
	return c.Fleet.Nodes.Names()
}

// DeploysHere reports whether this machine has a deployment.
func (c *Config) DeploysHere(deployment string) bool {
	return !c.InFleet() || slices.Contains(c.nodesOf(deployment), c.Fleet.Node)
}

// shareNode reports whether two deployments are on one machine.
func (c *Config) shareNode(a, b string) bool {
	return !c.InFleet() || slices.ContainsFunc(c.nodesOf(a), func(node string) bool { return slices.Contains(c.nodesOf(b), node) })
}

// Audiences returns the nodes that need each target: those of its deployments in the
// order of [fleet.nodes], then the others that may order. A target without deployments
// goes to all.
func (c *Config) Audiences() map[string][]string {
	all := map[string][]string{}
	for _, t := range c.allTargets() {
		all[t.Name] = c.audience(t)
	}
	return all
}

func (c *Config) audience(t Target) []string {
	nodes := c.Fleet.Nodes.Names()
	if len(t.Deploy) == 0 {
		return nodes
	}
	nodes = slices.DeleteFunc(nodes, func(node string) bool {
		return !slices.ContainsFunc(t.Deploy, func(d string) bool { return slices.Contains(c.nodesOf(d), node) })
	})
	return union(nodes, c.Fleet.Order)
}

// here returns the targets that this machine needs, with the deployments that it has.
func (c *Config) here(targets []Target) []Target {
	if !c.InFleet() {
		return targets
	}
	targets = slices.DeleteFunc(targets, func(t Target) bool { return !slices.Contains(c.audience(t), c.Fleet.Node) })
	for i, t := range targets {
		targets[i].Deploy = slices.DeleteFunc(slices.Clone(t.Deploy), func(d string) bool { return !c.DeploysHere(d) })
	}
	return targets
}
