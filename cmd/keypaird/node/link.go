package node

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"keypaird/acme/http01"
	"keypaird/cmd/keypaird/engine"
	"keypaird/renew/fleet"
	fleetengine "keypaird/renew/fleet/engine"
	"keypaird/renew/fleet/envelope"
)

// A link is this machine's part in a fleet: the child that speaks with the engine, and what
// takes part. After a reload, the next node goes on with it, so that neither the seat nor
// the name of this node is free for a moment.
type link struct {
	engine      fleetengine.Engine
	keys        []envelope.Public    // of this node
	node        atomic.Pointer[Node] // by the configuration in use
	fleet       *fleet.Fleet         // nil until the fleet's id is known
	leave       func()               // gives the seat back
	closeEngine func()
}

// kept is the link between two configurations; nil: there is none.
var kept atomic.Pointer[link]

// Keep hands the connection and the seat over to the next node in this process, if its
// configuration has the same [fleet].
func (n *Node) Keep() { n.keeps.Store(true) }

// take takes part in the fleet until ctx ends.
func (n *Node) take(ctx context.Context, tokens *http01.Solver, p engine.Passes) {
	defer n.o.Store.Close()
	n.runs.Store(true)
	l := n.link(ctx)
	var parts sync.WaitGroup
	parts.Go(func() { n.ServeTokens(ctx, tokens) })
	parts.Go(func() { n.ServeAsks(ctx, p.Issue, p.Rollover) })
	n.follow(ctx, l, p.Changed)
	if n.keeps.Load() && l.fleet != nil {
		parts.Wait()
		kept.Store(l)
		return
	}
	l.leave()
	l.closeEngine() // the seat is given back through the engine
	parts.Wait()
}

// link returns that of the configuration before, or a new one.
func (n *Node) link(ctx context.Context) *link {
	keys := n.o.Fleet.Identity.Publics()
	if l := kept.Swap(nil); l != nil {
		if slices.Equal(l.keys, keys) {
			n.o.Fleet.Engine = l.engine
			return l
		}
		l.leave()
		l.closeEngine()
	}
	own, end := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() { n.o.Run(own) })
	return &link{engine: n.o.Fleet.Engine, keys: keys, leave: func() {}, closeEngine: func() { end(); running.Wait() }}
}

// follow takes part until ctx ends. It calls changed, from one goroutine, when a pass over
// some targets is needed; nil: over all.
func (n *Node) follow(ctx context.Context, l *link, changed func(targets []string)) {
	n.changed = changed
	if l.fleet != nil {
		l.node.Store(n)
		l.fleet.Reconfigured(n.o.Fleet.Targets)
	} else if id, ok := n.findID(ctx); ok {
		l.begin(ctx, n, id)
	} else {
		return
	}
	n.fleet.Store(l.fleet)
	<-ctx.Done()
}

// begin begins to take part.
func (l *link) begin(ctx context.Context, n *Node, id string) {
	o := n.o.Fleet
	o.ID = id
	l.node.Store(n)
	o.Audience = func(target string) []string { return l.node.Load().o.Fleet.Audience(target) }
	o.Urgent = func(target string) bool {
		urgent := l.node.Load().o.Fleet.Urgent
		return urgent != nil && urgent(target)
	}
	o.Changed = func(targets []string) {
		if changed := l.node.Load().changed; changed != nil {
			changed(targets)
		}
	}
	l.fleet = fleet.New(o)
	own, end := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() { _ = l.fleet.Run(own) }) // its error is that of own
	l.leave = func() { end(); running.Wait() }
}
