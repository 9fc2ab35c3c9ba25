package seat

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/engine"
	"keypaird/renew/problem"
)

const (
	goodFor    = 20 * time.Second // after the last keep-alive that the engine confirmed
	maxCommits = 4                // of the same operations
)

// ErrLost says that this node no longer sits in the seat.
var ErrLost = errors.New("this node no longer orders for the fleet")

// Leave ends a term, if another orderer is alive that can take the seat, and reports
// whether it did. For the time to rest, this node then takes the seat last.
type Leave func(reason, remedy string, rest time.Duration) bool

// Note is called after commits: with nil after one that the engine did, or with why it does
// nothing that is written to it.
type Note func(err error)

// Doubt is called with the reason why the engine does not apply a write, although it confirmed
// the seat since: this node may lack a right.
type Doubt func(err error)

// A Term is the time in which this node sits in the seat. Its methods may be called
// concurrently.
type Term struct {
	engine engine.Engine
	lease  engine.Lease
	node   string
	leave  Leave
	note   Note
	doubt  Doubt

	exchange chan struct{} // full while the seat's value is exchanged

	mu      sync.Mutex
	value   []byte        // of the seat
	values  []string      // that it had in this term, or may have
	unclear []byte        // value of the seat under which a commit may still happen; nil: none
	lost    error         // why it has ended; nil: it has not
	over    chan struct{} // closed with lost
}

// Take takes the vacant seat for a node, under a lease. The error is a
// *engine.ConditionError if the seat is not vacant. After any error the lease must be
// ended, for the node may have the seat.
func Take(ctx context.Context, e engine.Engine, lease engine.Lease, node string, leave Leave, note Note, doubt Doubt) (*Term, engine.Entry, error) {
	t := &Term{engine: e, lease: lease, node: node, leave: leave, note: note, doubt: doubt, exchange: make(chan struct{}, 1), over: make(chan struct{})}
	t.value = t.newValue()
	limited, cancel := context.WithTimeout(ctx, engine.Timeout)
	defer cancel()
	there := engine.Entry{Key: document.SeatKey, Value: t.value}
	revision, err := e.Commit(limited, []engine.Condition{{Key: there.Key}}, []engine.Op{{Key: there.Key, Value: there.Value, Lease: lease.ID()}})
	there.Revision = revision
	if _, refused := errors.AsType[*engine.ConditionError](err); err != nil && !refused {
		entry, unread := engine.ReadKey(ctx, e, there.Key)
		if unread == nil && bytes.Equal(entry.Value, t.value) {
			return t, entry, nil
		}
	}
	return t, there, err
}

// newValue returns a value that the seat never had.
func (t *Term) newValue() []byte {
	v := document.SeatValue(t.node, document.NewID())
	t.values = append(t.values, string(v))
	return v
}

// Over is closed once the term has ended.
func (t *Term) Over() <-chan struct{} { return t.over }

// Good reports whether the node may rely on the seat now: the last keep-alive that
// the engine confirmed was sent less than 20 seconds ago. It is asked before each request
// to a CA.
func (t *Term) Good() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lost != nil {
		return t.lost
	}
	// The monotonic clock may stand still while the machine sleeps, the other may be set.
	renewed, now := t.lease.Renewed(), time.Now()
	if age := max(now.Sub(renewed), now.Round(0).Sub(renewed.Round(0))); age >= goodFor {
		return problem.Newf("it goes on when the engine answers", "the engine did not confirm for %v that this node orders for the fleet", age.Round(time.Second))
	}
	return nil
}

// StandUp asks another orderer to take the seat; see Leave.
func (t *Term) StandUp(reason, remedy string, rest time.Duration) bool {
	return t.leave(reason, remedy, rest)
}

// Commit performs all of do, or nothing, provided that this node still sits in the seat:
// the error is ErrLost if it does not. What was done is known: after any other error
// it is undone or was not done, or Commit could not find out, and then it can only happen
// before the next Commit succeeds. Concurrent commits have different keys.
func (t *Term) Commit(ctx context.Context, do ...engine.Op) error {
	_, err := t.CommitIf(ctx, nil, do...)
	return err
}

// CommitIf is Commit on further conditions, and returns the revision. The error is an
// *engine.ConditionError if one of those does not hold.
func (t *Term) CommitIf(ctx context.Context, conditions []engine.Condition, do ...engine.Op) (engine.Revision, error) {
	var err error
	for range maxCommits {
		var value []byte
		if value, err = t.fence(ctx); err != nil {
			t.refused(ctx, err)
			return 0, err
		}
		var revision engine.Revision
		revision, err = t.try(ctx, value, conditions, do)
		if err == nil {
			t.note(nil)
			return revision, nil
		}
		if failed, ok := errors.AsType[*engine.ConditionError](err); ok {
			if failed.Key != document.SeatKey {
				return 0, err
			}
			if err := t.check(ctx, value); err != nil {
				return 0, err
			}
			continue // the value was exchanged meanwhile
		}
		// It may have happened, and may still happen unless the fence is moved.
		t.setUnclear(value)
		_, moved := t.fence(ctx)
		if moved != nil && !errors.Is(moved, ErrLost) {
			t.refused(ctx, err)
			return 0, fmt.Errorf("storing in the engine: %w", err)
		}
		revision, done, unread := happened(ctx, t.engine, do)
		switch {
		case unread != nil:
			return 0, fmt.Errorf("storing in the engine: %w", unread)
		case done:
			t.note(nil)
			return revision, nil
		case moved != nil: // another node may have replaced what it set
			return 0, fmt.Errorf("%w (%w)", moved, err)
		}
	}
	if ctx.Err() == nil {
		t.doubt(err)
	}
	return 0, fmt.Errorf("storing in the engine: %w", err)
}

// refused notes why the engine does nothing that is written to it, if it is to blame.
func (t *Term) refused(ctx context.Context, err error) {
	if ctx.Err() == nil && !errors.Is(err, ErrLost) {
		t.note(err)
	}
}

// try performs a commit once.
func (t *Term) try(ctx context.Context, value []byte, more []engine.Condition, do []engine.Op) (engine.Revision, error) {
	ctx, cancel := context.WithTimeout(ctx, engine.Timeout)
	defer cancel()
	conditions := append([]engine.Condition{{Key: document.SeatKey, Value: value}}, more...)
	return t.engine.Commit(ctx, conditions, do)
}

// fence returns the value of the seat for the next commit. If a commit may still
// happen under an older value, the value is exchanged first, so that it cannot.
func (t *Term) fence(ctx context.Context) ([]byte, error) {
	select {
	case t.exchange <- struct{}{}:
		defer func() { <-t.exchange }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	var failed error
	for range maxCommits {
		t.mu.Lock()
		value, unclear, lost := t.value, bytes.Equal(t.unclear, t.value), t.lost
		t.mu.Unlock()
		switch {
		case lost != nil:
			return nil, lost
		case !unclear:
			return value, nil
		}
		var err error
		if failed, err = t.move(ctx, value); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("the engine does not confirm writes: %w", failed)
}

// move exchanges the value of the seat, if the engine does not fail. t.exchange is full.
func (t *Term) move(ctx context.Context, value []byte) (failed, err error) {
	t.mu.Lock()
	next := t.newValue()
	t.mu.Unlock()
	_, failed = t.try(ctx, value, nil, []engine.Op{{Key: document.SeatKey, Value: next, Lease: t.lease.ID()}})
	if failed != nil { // it may have happened, or another exchange before it
		entry, unread := engine.ReadKey(ctx, t.engine, document.SeatKey)
		switch {
		case unread != nil:
			return failed, fmt.Errorf("storing in the engine: %w", failed)
		case !t.Owns(entry.Value):
			return failed, t.End("another value is in the seat")
		}
		next = entry.Value
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.value = next
	return failed, nil
}

// Owns reports whether a value of the seat is of this term.
func (t *Term) Owns(value []byte) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Contains(t.values, string(value))
}

// check is called after the seat did not have a value. The error is ErrLost if it
// has none of this term.
func (t *Term) check(ctx context.Context, value []byte) error {
	select {
	case t.exchange <- struct{}{}:
		defer func() { <-t.exchange }()
	case <-ctx.Done():
		return ctx.Err()
	}
	t.mu.Lock()
	exchanged := !bytes.Equal(t.value, value)
	t.mu.Unlock()
	if exchanged {
		return nil
	}
	there, err := engine.ReadKey(ctx, t.engine, document.SeatKey)
	switch {
	case err != nil:
		return fmt.Errorf("storing in the engine: %w", err)
	case !t.Owns(there.Value):
		return t.End("another value is in the seat")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.value = there.Value
	return nil
}

// setUnclear notes that a commit under a value of the seat may still happen, unless that
// value was exchanged already.
func (t *Term) setUnclear(value []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if bytes.Equal(t.value, value) {
		t.unclear = value
	}
}

// End ends the term, if it has not ended, and returns why it did.
func (t *Term) End(reason string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lost == nil {
		t.lost = problem.Newf("the node in the seat goes on with it; see who sits: keypaird fleet status", "%w: %s", ErrLost, reason)
		close(t.over)
	}
	return t.lost
}

// happened reports whether the operations of a commit were done, at which revision.
// The values that it sets are of this commit alone.
func happened(ctx context.Context, e engine.Engine, do []engine.Op) (engine.Revision, bool, error) {
	for _, op := range do {
		entry, err := engine.ReadKey(ctx, e, op.Key)
		if err != nil || !bytes.Equal(entry.Value, op.Value) {
			return 0, false, err
		}
		if op.Value != nil {
			return entry.Revision, true, nil
		}
	}
	return 0, true, nil
}
