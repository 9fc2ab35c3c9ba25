package fleet

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/engine"
	"keypaird/renew/fleet/seat"
	"keypaird/renew/problem"
)

const (
	seatTTL = 30 * time.Second
	turn    = 2 * time.Second // how much longer each further choice waits for the seat
)

// A SeatState says who orders for the fleet.
type SeatState struct {
	Node     string // in the seat; "": none
	Mine     bool   // it is this node
	Err      error  // why the engine cannot be used; nil: it can
	ErrSince time.Time
	Waits    string // why this node does not take the seat, or takes it last; "": nothing
	Remedy   string // what to do about Waits; "": nothing, it ends
}

// Seat returns who orders for the fleet, as far as this node knows.
func (f *Fleet) Seat() SeatState {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := SeatState{Mine: f.term != nil, Err: f.err(), ErrSince: f.errAt}
	s.Node, _, _ = document.ParseSeat(f.view.Seat.Value)
	if s.Mine {
		s.Node = f.Node
	}
	s.Waits, s.Remedy = f.waits()
	return s
}

// waits returns why this node does not take the seat, or takes it last, and what to do about
// it; "": nothing. f.mu is held.
func (f *Fleet) waits() (why, remedy string) {
	switch {
	case f.clone != "":
		return errClone.Error(), problem.Remedy(errClone)
	case f.rests():
		return f.rest.reason, f.rest.remedy
	case f.untaken != nil:
		return f.untaken.Error(), problem.Remedy(f.untaken)
	}
	return "", ""
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
		return nil, problem.New("node "+s.Node+" orders for the fleet", "ask there: keypaird fleet status")
	case s.Waits != "":
		return nil, problem.New("this node does not order for the fleet: "+s.Waits, cmp.Or(s.Remedy, "another node of [fleet] order takes its place"))
	}
	return nil, problem.New("no node orders for the fleet yet", "wait for a minute; if it stays so, start keypaird on a node of [fleet] order")
}

// takeSeat takes the seat whenever it is this node's turn, and sits in it.
func (f *Fleet) takeSeat(ctx context.Context) {
	for ctx.Err() == nil {
		if !f.awaitTurn(ctx) {
			continue
		}
		t, lease, err := f.begin(ctx)
		f.setUntaken(err)
		if err != nil {
			pause(ctx, turn)
			continue
		}
		f.sit(ctx, t, lease)
	}
}

// setUntaken notes why this node could not take the seat; nil: it has it, or another was faster.
func (f *Fleet) setUntaken(err error) {
	if _, taken := errors.AsType[*engine.ConditionError](err); taken {
		err = nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	same := err != nil && f.untaken != nil && err.Error() == f.untaken.Error()
	switch {
	case same && !f.logged: // one that does not answer is logged as such
		f.logged = true
		f.Log.Warn("seat not taken", "err", err, "remedy", problem.Remedy(err))
	case !same && (err != nil || f.untaken != nil):
		f.logged = false
		f.wake()
	}
	f.untaken = err
}

const (
	watchEvery = 30 * time.Second
	vacantFor  = 6 // times in a row; then nobody can order
)

var errVacant = problem.New("no node of order takes the seat", "see what each of them says: keypaird fleet status; keypaird check -live there")

// watchSeat notes that the engine cannot be used to order, if for minutes no node has the
// seat, which this one may take.
func (f *Fleet) watchSeat(ctx context.Context) {
	for vacant := 0; pause(ctx, watchEvery); {
		f.mu.Lock()
		untaken := f.untaken != nil && f.view.Seat.Value != nil && f.unreachable() == nil
		f.mu.Unlock()
		if untaken { // while another sits, this node does not try
			f.setUntaken(CheckRights(ctx, f.Engine, f.Node, true))
		}
		f.mu.Lock()
		node, _, _ := document.ParseSeat(f.view.Seat.Value)
		why := cmp.Or(f.untaken, errVacant)
		if vacant++; f.term != nil || slices.Contains(f.Order, node) || f.clone != "" || f.unreachable() != nil {
			vacant, why = 0, nil
		}
		f.mu.Unlock()
		if vacant == 0 || vacant >= vacantFor {
			f.setErr(sitting, why)
		}
	}
}

// awaitTurn waits until the seat is vacant and was so for as long as this node leaves it
// to others. It reports false if ctx ends.
func (f *Fleet) awaitTurn(ctx context.Context) bool {
	var vacant time.Time
	for ctx.Err() == nil {
		f.mu.Lock()
		next, may, wait := f.changed, f.mayOrder(), time.Hour
		switch {
		case !may:
			vacant = time.Time{}
		case vacant.IsZero():
			vacant = time.Now()
			fallthrough
		default:
			wait = f.place() - time.Since(vacant)
		}
		f.mu.Unlock()
		if may && wait <= 0 {
			return true
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-next:
		}
		timer.Stop()
	}
	return false
}

// mayOrder reports whether this node may take the seat. f.mu is held.
func (f *Fleet) mayOrder() bool {
	return f.present && f.unreachable() == nil && !f.view.Synced.IsZero() && f.view.Seat.Value == nil
}

// place returns how long this node leaves the seat to others: to those before it in the
// order, unless they are known to be gone, and to all while it rests or is older. f.mu is
// held.
func (f *Fleet) place() time.Duration {
	var place time.Duration
	if f.rests() || f.newerOrderer() != "" {
		place = time.Duration(len(f.Order)) * turn
	}
	for _, name := range f.Order {
		if name == f.Node {
			break
		}
		if !f.view.Gone(name) {
			place += turn
		}
	}
	return place
}

// rests reports whether this node takes the seat last. f.mu is held.
func (f *Fleet) rests() bool { return f.rest.until.After(f.now()) }

// begin takes the vacant seat, and returns the lease that it is under.
func (f *Fleet) begin(ctx context.Context) (*Term, engine.Lease, error) {
	if err := CheckRights(ctx, f.Engine, f.Node, true); err != nil {
		return nil, nil, err
	}
	lease, err := f.lease(ctx, seatTTL)
	if err != nil {
		return nil, nil, err
	}
	note := func(err error) { f.setErr(committing, err) }
	doubt := func(error) { f.update(func() { f.doubt = true }) }
	t, there, err := seat.Take(ctx, f.Engine, lease, f.Node, f.standUp, note, doubt)
	if err != nil {
		f.endLease(ctx, lease) // a commit that happens later has no lease
		return nil, nil, err
	}
	f.wrote(there.Revision, engine.Op{Key: there.Key, Value: there.Value})
	return t, lease, nil
}

// sit goes through a term until it ends.
func (f *Fleet) sit(ctx context.Context, t *Term, lease engine.Lease) {
	f.Log.Info("seat taken", "node", f.Node)
	f.update(func() { f.term, f.termAt, f.all, f.ca.earlier = t, f.now(), true, true })
	reason := t.End(f.untilOver(ctx, t, lease))
	f.update(func() { f.term, f.all = nil, true })
	f.setErr(committing, nil)
	f.endLease(ctx, lease)
	if s := f.Seat(); s.Waits != "" { // an operator may be needed
		f.Log.Warn("seat left", "node", f.Node, "reason", reason, "remedy", s.Remedy)
		return
	}
	f.Log.Info("seat left", "node", f.Node, "reason", reason)
}

// untilOver returns why a term ends.
func (f *Fleet) untilOver(ctx context.Context, t *Term, lease engine.Lease) string {
	var checked []byte
	every := time.NewTicker(time.Minute) // for what depends on time alone
	defer every.Stop()
	for {
		f.mu.Lock()
		next, value, doubt := f.changed, f.view.Seat.Value, f.doubt
		f.doubt = false
		f.mu.Unlock()
		if doubt {
			if err := CheckRights(ctx, f.Engine, f.Node, true); err != nil {
				f.update(func() { f.untaken, f.logged = err, true }) // as why the seat is left
				return err.Error()
			}
		}
		if !t.Owns(value) && (checked == nil || !bytes.Equal(checked, value)) {
			there, err := engine.ReadKey(ctx, f.Engine, document.SeatKey)
			if err == nil && !t.Owns(there.Value) {
				return "another value is in the seat"
			}
			checked = append([]byte{}, value...)
		}
		f.compareOrderers()
		select {
		case <-ctx.Done():
			return "the process ends"
		case <-lease.Lost():
			return "the engine did not confirm the seat in time"
		case <-t.Over():
			return "" // it has a reason
		case <-every.C:
			f.confirmAgain(ctx, t)
		case <-next:
		}
	}
}

// confirmAgain notes that the engine applies writes again, if it did not.
func (f *Fleet) confirmAgain(ctx context.Context, t *Term) {
	f.mu.Lock()
	refused := f.errs[committing] != nil
	f.mu.Unlock()
	if refused {
		_ = t.Commit(ctx) // an error is noted, too
	}
}

// standUp ends the term if another orderer is alive, and reports whether it did.
func (f *Fleet) standUp(reason, remedy string, rest time.Duration) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.term == nil || errors.Is(f.term.Good(), ErrLost) || !f.otherOrderer() {
		return false
	}
	f.rest.until, f.rest.reason, f.rest.remedy = f.now().Add(rest), reason, remedy
	_ = f.term.End(reason)
	return true
}

// otherOrderer reports whether another orderer is alive. f.mu is held.
func (f *Fleet) otherOrderer() bool {
	return slices.ContainsFunc(f.Order, func(name string) bool { return name != f.Node && f.aliveOrderer(name) != nil })
}

// aliveOrderer returns what a node says that may order and is alive; nil: it is not.
func (f *Fleet) aliveOrderer(name string) *document.Alive {
	if n := f.view.Nodes[name]; n != nil && slices.Contains(f.Order, name) {
		return n.Alive
	}
	return nil
}
