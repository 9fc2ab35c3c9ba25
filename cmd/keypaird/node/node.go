package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"keypaird/acme"
	"keypaird/renew"
	"keypaird/renew/fleet"
	"keypaird/renew/fleet/engine"
	"keypaird/renew/keypair"
	"keypaird/renew/problem"
	"keypaird/renew/rollover"
	"keypaird/renew/status/nodes"
)

// Options configure a Node. Of Fleet, the Node finds ID and sets Changed.
type Options struct {
	Fleet fleet.Options
	ID    func(context.Context) (string, error) // returns the id of the fleet; "": it has not begun
	Run   func(context.Context)                 // keeps Fleet.Engine running
	Store *keypair.Store
	CAs   map[string][]string // that may certify a target
	Files Files
	Alone bool // order without the engine: the caller knows that it cannot be used
	Log   *slog.Logger
}

// A Node is this machine in its fleet.
type Node struct {
	o     Options
	fleet atomic.Pointer[fleet.Fleet] // nil until the fleet's id is known

	changed func(targets []string) // has passes made; may be nil
	keeps   atomic.Bool            // the next node goes on where this one ends
	runs    atomic.Bool            // it takes part, or did

	mu      sync.Mutex
	cold    bool              // no pass has begun
	idErr   error             // why the fleet's id is not known
	term    *fleet.Term       // of the pass that runs: what the engine knows was taken over; nil: another node sits
	err     error             // why there is no term
	alone   bool              // the engine cannot be used: see lastResort
	pulled  *fleet.Term       // the last one
	written map[string]bool   // keys of orders that the engine has of this term
	records map[string]string // sums of the records that the engine has of this term, by target
	holders map[string]holder // by the engine's keys of orders and records

	compromised map[string]string // sums of next keys (DANE) that are not to be used, by target
	targets     map[string]renew.Target
	seen        map[string]rollover.Observation // that accepts made, by target and name

	described described
	accounts  sync.Mutex // held while an account is written
	counts    sync.Mutex // likewise the counts of orders
}

var (
	errIdle  = errors.New("no pass runs")
	errFirst = errors.New("the engine of the fleet was not reached yet")
	// errNotAsked is for a command that only shows what is on disk.
	errNotAsked = problem.New("the node in the seat orders: see keypaird fleet status", "see who sits, and what it waits for: keypaird fleet status")

	errAlone = problem.New("this node orders without the engine of the fleet", "make the engine reachable: the daemon then publishes what was ordered")
)

// newNode returns a node that takes part once it runs.
func newNode(o Options) *Node {
	return &Node{o: o, cold: true, err: errIdle, idErr: errFirst, holders: map[string]holder{}, compromised: map[string]string{}, targets: map[string]renew.Target{}, seen: map[string]rollover.Observation{}}
}

// Fleet returns this node's part in its fleet; nil: it has none yet, for the reason Err.
func (n *Node) Fleet() *fleet.Fleet { return n.fleet.Load() }

// Err returns why the engine cannot be used; nil: it can.
func (n *Node) Err() error {
	if f := n.Fleet(); f != nil {
		return f.Seat().Err
	}
	return n.idError()
}

// idError returns why the fleet's id is not known; it is never nil. Err may be, if the id
// was found since a caller saw no fleet.
func (n *Node) idError() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.idErr
}

// Name returns the name of this node.
func (n *Node) Name() string { return n.o.Fleet.Node }

// sleep waits, and reports whether ctx has not ended.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
	return ctx.Err() == nil
}

// End is called after each pass.
func (n *Node) End() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.term, n.err, n.alone = nil, errIdle, false
}

// orders reports whether this node may order.
func (n *Node) orders() bool { return slices.Contains(n.o.Fleet.Order, n.o.Fleet.Node) }

// seat returns the term in which this pass may order, or why there is none.
func (n *Node) seat() (*fleet.Term, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.term, n.err
}

// sits returns the term of this node, or why there is none.
func (n *Node) sits() (*fleet.Term, error) {
	f := n.Fleet()
	if f == nil {
		return nil, n.idError()
	}
	return f.Term()
}

// Permit reports whether a request to a CA may be sent now: acme.Options.Permit.
func (n *Node) Permit() error {
	t, err := n.seat()
	switch {
	case err == nil:
		return t.Good()
	case n.isAlone():
		return nil
	}
	return err
}

// CompareClock notes by how much the clock of a CA that just answered is ahead of ours.
func (n *Node) CompareClock(ahead time.Duration) {
	if f := n.Fleet(); f != nil {
		f.CompareClock(ahead)
	}
}

// commit writes to the engine, if this node still sits.
func (n *Node) commit(ctx context.Context, ops ...engine.Op) error {
	t, err := n.seat()
	switch {
	case err == nil:
		err = t.Commit(ctx, ops...)
	case n.isAlone(): // the files have it, and the engine gets it from them
		return nil
	}
	return notPermitted(err)
}

// isAlone reports whether this pass may order as a last resort.
func (n *Node) isAlone() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.alone
}

// op returns the operation that sets a key, signed, with the secret sealed to the nodes
// that may order; nil: none.
func (n *Node) op(key string, body any, secret []byte) (engine.Op, error) {
	f := n.Fleet()
	if f == nil {
		return engine.Op{}, notPermitted(n.idError())
	}
	return f.Op(key, body, secret, n.o.Fleet.Order)
}

// notPermitted marks an error as one for which the CA is not to blame.
func notPermitted(err error) error {
	if err == nil || errors.Is(err, acme.ErrNotPermitted) {
		return err
	}
	return fmt.Errorf("%w: %w", acme.ErrNotPermitted, err)
}

// described is the last result of Describe.
type described struct {
	mu    sync.Mutex
	fleet *nodes.Fleet
	until time.Time // when the next one is made
}
