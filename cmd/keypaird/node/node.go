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
	"keypaird/renew/fleet"
	"keypaird/renew/fleet/engine"
	"keypaird/renew/keypair"
	"keypaird/renew/problem"
)

// Options are what a Node needs. Of Fleet, ID is found and Changed is set here.
type Options struct {
	Fleet fleet.Options
	ID    func(context.Context) (string, error) // returns the id of the fleet; "": it has not begun
	Run   func(context.Context)                 // keeps Fleet.Engine running
	Store *keypair.Store
	CAs   map[string][]string // that may certify a target
	Files Files
	Log   *slog.Logger
}

// A Node is this machine in its fleet.
type Node struct {
	o     Options
	fleet atomic.Pointer[fleet.Fleet] // nil until the fleet's id is known

	mu      sync.Mutex
	cold    bool              // no pass has begun
	idErr   error             // why the fleet's id is not known
	term    *fleet.Term       // of the pass that runs: what the engine knows was adopted; nil: another node sits
	err     error             // why there is no term
	adopted *fleet.Term       // the last one
	written map[string]bool   // keys of orders that the engine has of this term
	records map[string]string // sums of the records that the engine has of this term, by target

	accounts sync.Mutex // held while an account is written
	counts   sync.Mutex // likewise the counts of orders
}

var (
	errIdle  = errors.New("no pass runs")
	errFirst = errors.New("the engine of the fleet was not reached yet")
)

// New returns a node that takes part once it runs.
func New(o Options) *Node { return &Node{o: o, cold: true, err: errIdle, idErr: errFirst} }

// Run takes part in the fleet until ctx ends, and then gives the seat back. It calls
// changed, from one goroutine, when a pass over some targets is needed; nil: over all.
func (n *Node) Run(ctx context.Context, changed func(targets []string)) {
	id, ok := n.findID(ctx)
	if !ok {
		return
	}
	o := n.o.Fleet
	o.ID, o.Changed = id, changed
	f := fleet.New(o)
	n.fleet.Store(f)
	_ = f.Run(ctx) // its error is that of ctx
}

// Fleet returns what this node knows of its fleet; nil: nothing yet, for the reason Err.
func (n *Node) Fleet() *fleet.Fleet { return n.fleet.Load() }

// Err returns why the engine cannot be used; nil: it can.
func (n *Node) Err() error {
	if f := n.Fleet(); f != nil {
		return f.Seat().Err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.idErr
}

// Name returns the name of this node.
func (n *Node) Name() string { return n.o.Fleet.Node }

// coldWait is how long a node waits for the engine before its first pass, in which it would
// deploy what is not the newest.
const coldWait = 30 * time.Second

// Begin is called with the lock of the state directory before each pass. In the first one
// of a term it adopts what the engine knows.
func (n *Node) Begin(ctx context.Context) {
	n.warm(ctx)
	term, err := n.takeTerm(ctx)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.term, n.err = term, err; err != nil {
		n.term = nil
		return
	}
	n.adopted = term
}

// takeTerm returns the term of this node, with what the engine knows adopted.
func (n *Node) takeTerm(ctx context.Context) (*fleet.Term, error) {
	f := n.Fleet()
	if f == nil {
		return nil, n.Err()
	}
	term, err := f.Term()
	n.mu.Lock()
	known := term == n.adopted
	n.mu.Unlock()
	if err != nil || known {
		return term, err
	}
	if err = n.adopt(ctx, term); err != nil {
		err = fmt.Errorf("reading what the fleet knows: %w", err)
		n.o.Log.Warn("not ordering for the fleet", "err", err, "remedy", problem.Remedy(err))
	}
	return term, err
}

// warm waits, before the first pass, for the first answer of the engine.
func (n *Node) warm(ctx context.Context) {
	n.mu.Lock()
	cold := n.cold
	n.cold = false
	n.mu.Unlock()
	waiting, cancel := context.WithTimeout(ctx, coldWait)
	defer cancel()
	for cold && n.Fleet() == nil && sleep(waiting, coldStep) {
	}
	f := n.Fleet()
	if !cold || f == nil {
		return
	}
	f.Wait(waiting)
	for began := time.Now(); n.mayTake(f.Seat()) && time.Since(began) < seatWait && sleep(waiting, coldStep); {
	}
}

// seatWait is how long the first pass waits for the seat that nobody has.
const seatWait = 5 * time.Second

// mayTake reports whether this node is about to take the seat.
func (n *Node) mayTake(s fleet.SeatState) bool {
	return n.orders() && !n.o.Fleet.Observer && !s.Mine && s.Node == "" && s.Err == nil && s.Waits == ""
}

// coldStep is how exactly the fleet's id is waited for.
const coldStep = 50 * time.Millisecond

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
	n.term, n.err = nil, errIdle
}

// orders reports whether this node may order.
func (n *Node) orders() bool { return slices.Contains(n.o.Fleet.Order, n.o.Fleet.Node) }

// seat returns the term in which this pass may order, or why there is none.
func (n *Node) seat() (*fleet.Term, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.term, n.err
}

// Permit reports whether a request to a CA may be sent now: acme.Options.Permit.
func (n *Node) Permit() error {
	t, err := n.seat()
	if err == nil {
		err = t.Good()
	}
	return notPermitted(err)
}

// commit writes to the engine, if this node still sits.
func (n *Node) commit(ctx context.Context, ops ...engine.Op) error {
	t, err := n.seat()
	if err == nil {
		err = t.Commit(ctx, ops...)
	}
	return notPermitted(err)
}

// op returns the operation that sets a key, signed, with the secret sealed to the nodes
// that may order; nil: none.
func (n *Node) op(key string, body any, secret []byte) (engine.Op, error) {
	f := n.Fleet()
	if f == nil {
		return engine.Op{}, notPermitted(n.Err())
	}
	return f.Op(key, body, secret, n.o.Fleet.Order)
}

// notPermitted marks an error as one for which the CA is not to blame.
func notPermitted(err error) error {
	if err == nil {
		return nil
	}
	return &refusal{err}
}

// A refusal is an error with which nothing is sent to a CA.
type refusal struct{ error }

func (r *refusal) Unwrap() []error { return []error{r.error, acme.ErrNotPermitted} }
