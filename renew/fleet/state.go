package fleet

import (
	"maps"
	"slices"
	"time"

	"keypaird/renew/fleet/document"
)

// A NodeState describes a node.
type NodeState struct {
	Name    string
	Away    time.Duration // since when it is not alive; 0: it is alive
	Version string        // of keypaird; "": not known
	Clock   time.Duration // by how much it was ahead of ours when the node last wrote something; if we did not hear that, of that of the node in the seat
	Orders  bool          // it may order
	Waits   string        // why it leaves ordering to others now; "": it does not
}

// SeesAll reports whether this node knows of all nodes and releases; else of itself and its
// own.
func (f *Fleet) SeesAll() bool { return f.orders() || f.Observer }

// Nodes returns the state of each node, by name.
func (f *Fleet) Nodes() []NodeState {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []NodeState
	for _, name := range slices.Sorted(maps.Keys(f.Members)) {
		if name != f.Node && !f.SeesAll() {
			continue
		}
		s := NodeState{Name: name, Away: f.view.Away(name, f.now()), Orders: slices.Contains(f.Order, name)}
		if n := f.view.Nodes[name]; n != nil {
			s.Clock = n.Offset
			if n.Heard.IsZero() {
				s.Clock = f.seatsClock(name)
			}
			if n.Report != nil && s.Away == 0 {
				s.Waits = n.Report.Waits
			}
			if n.Alive != nil {
				s.Version = n.Alive.Version
			}
		}
		list = append(list, s)
	}
	return list
}

// seatsClock returns by how much the clock of a node is ahead of that of the node in the
// seat; 0: that did not report it. f.mu is held.
func (f *Fleet) seatsClock(name string) time.Duration {
	seated, _, _ := document.ParseSeat(f.view.Seat.Value)
	if n := f.view.Nodes[seated]; n != nil && n.Report != nil {
		return time.Duration(n.Report.Clocks[name]) * time.Second
	}
	return 0
}
