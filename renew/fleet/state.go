package fleet

import (
	"maps"
	"slices"
	"time"

	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/view"
	"keypaird/renew/fleet/wave"
)

// A NodeState says what is known of a node.
type NodeState struct {
	Name    string
	Away    time.Duration // since when it is not alive; 0: it is alive
	Version string        // of keypaird; "": not known
	Clock   time.Duration // by how much it was ahead of ours when the node last wrote something
	Orders  bool          // it may order
	Seated  bool          // it orders now
	Waits   string        // why it leaves ordering to others now; "": it does not
	Behind  int           // releases that it may deploy and has not verified
}

// Nodes returns what is known of the nodes, by name.
func (f *Fleet) Nodes() []NodeState {
	f.mu.Lock()
	defer f.mu.Unlock()
	seated, _, _ := document.ParseSeat(f.view.Seat.Value)
	var list []NodeState
	for _, name := range slices.Sorted(maps.Keys(f.Members)) {
		s := NodeState{Name: name, Away: f.view.Away(name, f.now()), Orders: slices.Contains(f.Order, name), Seated: name == seated}
		if n := f.view.Nodes[name]; n != nil {
			s.Clock = n.Offset
			if n.Report != nil && s.Away == 0 {
				s.Waits = n.Report.Waits
			}
			if n.Alive != nil {
				s.Version = n.Alive.Version
			}
		}
		for target, r := range f.view.Releases {
			if slices.Contains(f.Audience(target), name) && f.behind(name, target, r) {
				s.Behind++
			}
		}
		list = append(list, s)
	}
	return list
}

// behind reports whether a node has not verified a release that it may deploy. f.mu is held.
func (f *Fleet) behind(name, target string, r *view.Release) bool {
	verified, _, _ := f.view.State(name, target, r)
	return !verified && wave.Allows(r.Release, name)
}

// Releases returns the releases of all targets that this node follows.
func (f *Fleet) Releases() map[string]document.Release {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := map[string]document.Release{}
	for target, r := range f.view.Releases {
		all[target] = r.Release
	}
	return all
}
