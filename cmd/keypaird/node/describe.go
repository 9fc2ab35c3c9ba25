package node

import (
	"maps"
	"slices"
	"time"

	commands "keypaird/cmd/keypaird/fleet"
	"keypaird/renew/problem"
	"keypaird/renew/status/nodes"
)

// Describe returns the state of the fleet as this node knows it, for the status page and
// metrics. A result is kept for fifty times as long as it took to make: a large fleet does
// not keep the processor busy.
func (n *Node) Describe() *nodes.Fleet {
	f := n.Fleet()
	if f == nil {
		err := n.idError()
		return &nodes.Fleet{Node: n.Name(), Error: err.Error(), Remedy: problem.Remedy(err), Partial: !n.orders(), Nodes: []nodes.Node{}, Targets: []nodes.Release{}}
	}
	d := &n.described
	d.mu.Lock()
	defer d.mu.Unlock()
	if began := time.Now(); d.fleet == nil || began.After(d.until) {
		d.fleet = commands.Describe(f, slices.Sorted(maps.Keys(n.o.CAs)))
		d.until = time.Now().Add(50 * time.Since(began))
	}
	return d.fleet
}
