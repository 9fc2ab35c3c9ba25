package dns01

import (
	"context"
	"errors"
	"sync"
)

// nameLocks allows one challenge at a time at a name, or several of one account if
// its provider can have several values there. The locks are shared by accounts,
// since CNAMEs may lead two of them to one name.
type nameLocks struct {
	mu   sync.Mutex
	held map[string]*hold
}

var errStuck = errors.New("DNS helper does not answer")

type hold struct {
	share   any             // holders with the same one share the lock; nil: not shared
	values  map[string]bool // present at the name
	changed chan struct{}   // closed when a value is removed
	waiting []func(bool)    // called when a value is removed
}

// lock waits for the lock of a name, which must be canonical. Holders with the same
// non-nil share hold it together, each with a different value. When stuck is closed,
// the wait ends with errStuck. queued, if not nil, is called with true when a wait
// begins and with false when it ends; all waits at a name end together.
func (n *nameLocks) lock(ctx context.Context, stuck <-chan struct{}, name, value string, share any, queued func(bool)) (unlock func(), err error) {
	for {
		wait := n.try(name, value, share, queued)
		if wait == nil {
			return func() { n.unlock(name, value) }, nil
		}
		select {
		case <-wait:
		case <-stuck:
			return nil, errStuck
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// try takes the lock, or returns a channel to wait for.
func (n *nameLocks) try(name, value string, share any, queued func(bool)) (wait <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.held[name]
	switch {
	case h == nil:
		h = &hold{share: share, values: map[string]bool{}, changed: make(chan struct{})}
		if n.held == nil {
			n.held = map[string]*hold{}
		}
		n.held[name] = h
	case share == nil || h.share != share || h.values[value]:
		if queued != nil {
			queued(true)
			h.waiting = append(h.waiting, queued)
		}
		return h.changed
	}
	h.values[value] = true
	return nil
}

func (n *nameLocks) unlock(name, value string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.held[name]
	delete(h.values, value)
	for _, queued := range h.waiting {
		queued(false)
	}
	h.waiting = nil
	close(h.changed)
	h.changed = make(chan struct{})
	if len(h.values) == 0 {
		delete(n.held, name)
	}
}

// holds reports whether a value is present at a name, or is to be.
func (n *nameLocks) holds(name, value string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.held[name]
	return h != nil && h.values[value]
}
