package fleetrule

import (
	"strings"

	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/envelope"
	"keypaird/renew/problem"
)

// Nodes are the lines of [fleet.nodes] in their order.
type Nodes []Node

// A Node is a machine of the fleet.
type Node struct {
	Name  string
	Lines []string          // as keypaird fleet key prints them; two while its key is exchanged
	Keys  []envelope.Public // the same
}

// Names returns the names of the nodes in their order.
func (n Nodes) Names() []string {
	names := make([]string, len(n))
	for i, node := range n {
		names[i] = node.Name
	}
	return names
}

// Members returns the keys by node.
func (n Nodes) Members() envelope.Members {
	m := envelope.Members{}
	for _, node := range n {
		m[node.Name] = node.Keys
	}
	return m
}

// ReadKeys fills in Keys, and reports what is wrong with a line.
func (n Nodes) ReadKeys(report func(node string, err error)) {
	owners := map[envelope.Public]string{}
	for i, node := range n {
		if err := document.CheckName(node.Name); err != nil {
			report(node.Name, problem.Wrap(err, "write the name of the host in lower case, of a-z 0-9 . _ -"))
		}
		if len(node.Lines) == 0 || len(node.Lines) > 2 {
			report(node.Name, problem.Newf("write one line, or two while the node's key is exchanged", "has %d lines", len(node.Lines)))
		}
		for _, line := range node.Lines {
			key, err := envelope.ParsePublic(line)
			if owner, taken := owners[key]; err == nil && taken {
				err = problem.Newf("write the line that keypaird fleet key prints on this node; where the state directory was copied from another node, first remove fleet/node.key there", "has the key of %q", owner)
			}
			if err != nil {
				report(node.Name, err)
				continue
			}
			owners[key] = node.Name
			n[i].Keys = append(n[i].Keys, key)
		}
	}
}

// Named returns the name of the node that runs on a machine called host: the same name, or
// one of them without its domain.
func (n Nodes) Named(host string) (string, error) {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	short, _, hasDomain := strings.Cut(host, ".")
	var found []string
	for _, name := range n.Names() {
		if name == host {
			return name, nil
		}
		if name == short || !hasDomain && strings.HasPrefix(name, host+".") {
			found = append(found, name)
		}
	}
	const remedy = "add the line that keypaird fleet key prints here, or set node in [fleet]"
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return "", problem.Newf("set node in [fleet], or give this machine its full name", "this machine is called %q, and may be %q or %q", host, found[0], found[1])
	case hasDomain:
		return "", problem.Newf(remedy, "this machine is not among them: neither as %q nor as %q", host, short)
	}
	return "", problem.Newf(remedy, "this machine is not among them: neither as %q nor with a domain behind it", host)
}
