package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"keypaird/acme/dns01"
	"keypaird/renew/fleet"
	"keypaird/renew/problem"
)

// coldWait is how long a node waits for the engine before its first pass, in which it would
// deploy what is not the newest.
const coldWait = 30 * time.Second

// Begin is called with the lock of the state directory before each pass. In the first pass
// of a term it copies accounts, orders and records from the engine, and calls remove for
// the TXT records that a dead node has left.
func (n *Node) Begin(ctx context.Context, remove func(context.Context, dns01.Presented) error) {
	if n.o.Alone {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.err, n.alone = errAlone, true
		return
	}
	n.warm(ctx)
	term, err := n.takeTerm(ctx, remove)
	if err == nil && n.Err() != nil { // the engine did not apply a write: does it now?
		err = term.Commit(ctx)
	}
	unusable := (n.Err() != nil || term != nil) && !errors.Is(err, fleet.ErrLost)
	n.setTerm(term, err, unusable)
	n.followAccounts(ctx)
}

// setTerm sets the term in which a pass orders, or why there is none; unusable: the
// engine cannot be used.
func (n *Node) setTerm(term *fleet.Term, err error, unusable bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.alone = err != nil && unusable && n.orders() && !n.o.Fleet.Observer
	if n.term, n.err = term, err; err != nil {
		n.term, n.pulled = nil, nil // what is ordered alone is given to the engine then
		return
	}
	n.pulled = term
}

// takeTerm returns the term of this node, after what the engine knows was taken over.
func (n *Node) takeTerm(ctx context.Context, remove func(context.Context, dns01.Presented) error) (*fleet.Term, error) {
	term, err := n.sits()
	n.mu.Lock()
	known := term == n.pulled
	n.mu.Unlock()
	if err != nil || known {
		return term, err
	}
	if err = n.pull(ctx, term); err == nil {
		n.removeLeft(ctx, remove)
	} else {
		err = fmt.Errorf("reading what the fleet knows: %w", err)
		s := n.Fleet().Seat()
		if leaves := s.Err == nil && s.Waits == "" && ctx.Err() == nil; !leaves || !term.StandUp(err.Error(), problem.Remedy(err), rest) {
			n.o.Log.Warn("not ordering for the fleet", "err", err, "remedy", problem.Remedy(err))
		}
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
