package fleet

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/engine"
	"keypaird/renew/problem"
)

// turn is how much longer each further choice waits for the seat.
const turn = 2 * time.Second

// A SeatState says who orders for the fleet.
type SeatState struct {
	Node     string    // in the seat; "": none
	Since    time.Time // when this node saw it first
	Mine     bool      // it is this node
	Err      error     // why the engine cannot be used; nil: it can
	ErrSince time.Time
	Waits string    // why this node does not take the seat, or takes it last; "": nothing
	Until    time.Time // when that ends; zero: unknown
}

// Seat returns who orders for the fleet, as far as this node knows.
func (f *Fleet) Seat() SeatState {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := SeatState{Since: f.view.seatAt, Mine: f.term != nil, Err: f.err(), ErrSince: f.errAt}
	s.Node, _, _ = document.ParseSeat(f.view.seat.Value)
	if s.Mine {
		s.Node, s.Since = f.Node, f.termAt
	}
	switch {
	case f.clone != "":
		s.Waits = errClone.Error()
	case f.rest.until.After(f.now()):
		s.Waits, s.Until = f.rest.reason, f.rest.until
	}
	return s
}

// Term returns the term of this node, if it sits in the seat. The error says who does, or
// why nobody can.
func (f *Fleet) Term() (*Term, error) {
	s := f.Seat()
	f.mu.Lock()
	t := f.term
	f.mu.Unlock()
	switch {
	case t != nil:
		return t, nil
	case s.Err != nil:
		return nil, problem.Wrap(problem.Newf("nothing is ordered until it answers; certificates in use stay", "the engine of the fleet cannot be used: %w", s.Err), problem.Remedy(s.Err))
	case s.Node != "":
		return nil, problem.New("node "+s.Node+" orders for the fleet", "ask there: keypaird status -fleet")
	case s.Waits != "":
		return nil, problem.New("this node does not order for the fleet: "+s.Waits, "another node of [fleet] order takes its place")
	}
	return nil, problem.New("no node orders for the fleet yet", "wait for a minute; if it stays so, start keypaird on a node of [fleet] order")
}

// takeSeat takes the seat whenever it is this node's turn, and sits in it.
func (f *Fleet) takeSeat(ctx context.Context) {
	for ctx.Err() == nil {
		if !f.awaitTurn(ctx) {
			continue
		}
		t, err := f.begin(ctx)
		if err != nil {
			f.Log.Debug("seat not taken", "err", err)
			pause(ctx, turn)
			continue
		}
		f.sit(ctx, t)
	}
}

// awaitTurn waits until the seat is vacant and was so for as long as this node leaves it
// to those before it. It reports whether it is its turn.
func (f *Fleet) awaitTurn(ctx context.Context) bool {
	var timer <-chan time.Time
	for {
		f.mu.Lock()
		next, wait, may := f.changed, f.place(), f.mayOrder()
		f.mu.Unlock()
		switch {
		case !may:
			timer = nil
		case timer == nil:
			timer = time.After(wait)
		}
		select {
		case <-ctx.Done():
			return false
		case <-timer:
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.mayOrder()
		case <-next:
		}
	}
}

// mayOrder reports whether this node may take the seat. f.mu is held.
func (f *Fleet) mayOrder() bool {
	return f.present && f.err() == nil && !f.view.synced.IsZero() && f.view.seat.Value == nil
}

// place returns how long this node leaves the seat to others. f.mu is held.
func (f *Fleet) place() time.Duration {
	place := slices.Index(f.Order, f.Node)
	if f.rest.until.After(f.now()) || f.newerOrderer() != "" {
		place += len(f.Order)
	}
	return time.Duration(place) * turn
}

// begin takes the vacant seat.
func (f *Fleet) begin(ctx context.Context) (*Term, error) {
	lease, err := f.lease(ctx, seatTTL)
	if err != nil {
		return nil, err
	}
	t := newTerm(f.Engine, lease, f.Node)
	t.unfenced, t.leave = f.unfenced, f.standUp
	limited, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	op := engine.Op{Key: document.SeatKey, Value: t.value, Lease: lease.ID()}
	revision, err := f.Engine.Commit(limited, []engine.Condition{{Key: op.Key}}, []engine.Op{op})
	if _, refused := errors.AsType[*engine.ConditionError](err); err != nil && !refused {
		if there, unread := readKey(ctx, f.Engine, op.Key); unread == nil && bytes.Equal(there.Value, op.Value) {
			revision, err = there.Revision, nil
		}
	}
	if err != nil {
		f.endLease(ctx, lease) // a commit that happens later has no lease
		return nil, err
	}
	f.wrote(revision, op)
	return t, nil
}

// sit goes through a term until it ends.
func (f *Fleet) sit(ctx context.Context, t *Term) {
	f.Log.Info("seat taken", "node", f.Node)
	leave := make(chan struct{})
	f.update(func() { f.term, f.termAt, f.leave, f.all = t, f.now(), leave, true })
	reason := f.await(ctx, t, leave)
	t.end(reason)
	f.update(func() { f.term, f.leave, f.all = nil, nil, true })
	f.endLease(ctx, t.lease)
	f.Log.Info("seat left", "node", f.Node, "reason", reason)
}

// await returns why a term ends.
func (f *Fleet) await(ctx context.Context, t *Term, leave <-chan struct{}) string {
	var checked []byte
	for {
		f.mu.Lock()
		next, seat := f.changed, f.view.seat.Value
		f.mu.Unlock()
		if !t.Owns(seat) && (checked == nil || !bytes.Equal(checked, seat)) {
			there, err := readKey(ctx, f.Engine, document.SeatKey)
			if err == nil && !t.Owns(there.Value) {
				return "another value is in the seat"
			}
			checked = append([]byte{}, seat...)
		}
		f.compareOrderers()
		select {
		case <-ctx.Done():
			return "the process ends"
		case <-t.lease.Lost():
			return "the engine did not confirm the seat in time"
		case <-t.Over():
			return "another value is in the seat"
		case <-leave:
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.rest.reason
		case <-next:
		}
	}
}

// standUp ends the term if another orderer is alive, and reports whether it did.
func (f *Fleet) standUp(reason string, rest time.Duration) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.leave == nil || !f.otherOrderer() {
		return false
	}
	f.rest.until, f.rest.reason = f.now().Add(rest), reason
	close(f.leave)
	f.leave = nil
	return true
}

// otherOrderer reports whether another orderer is alive. f.mu is held.
func (f *Fleet) otherOrderer() bool {
	return slices.ContainsFunc(f.Order, func(name string) bool { return name != f.Node && f.aliveOrderer(name) != nil })
}

// aliveOrderer returns what a node says that may order and is alive; nil: it is not.
func (f *Fleet) aliveOrderer(name string) *document.Alive {
	if n := f.view.nodes[name]; n != nil && slices.Contains(f.Order, name) {
		return n.alive
	}
	return nil
}
