package node

import (
	"time"

	"keypaird/renew/status"
)

// figuresEvery is how often the nodes of a fleet are counted: each has all its targets
// looked at.
const figuresEvery = 30 * time.Second

// Figures returns what metrics show of the fleet.
func (n *Node) Figures() status.Fleet {
	f := n.Fleet()
	if f == nil {
		return status.Fleet{}
	}
	n.figures.mu.Lock()
	defer n.figures.mu.Unlock()
	if time.Since(n.figures.at) >= figuresEvery {
		n.figures.at, n.figures.nodes = time.Now(), status.Fleet{}
		for _, node := range f.Nodes() {
			if node.Away == 0 {
				n.figures.nodes.Alive++
			} else {
				n.figures.nodes.Away++
			}
			if node.Behind > 0 {
				n.figures.nodes.Behind++
			}
		}
	}
	seat, now := f.Seat(), n.figures.nodes
	now.EngineUp, now.Seated = seat.Err == nil, seat.Mine
	return now
}
