package dns01

import (
	"context"
	"errors"
	"sync"
)

// nameLocks lets one challenge at a time stand at a name, or several of one
// account if its provider keeps several values there. It is not enough to keep
// accounts apart: two of them may be led to one name by CNAMEs.
type nameLocks struct {
	mu   sync.Mutex
	held map[string]*hold
}

var errInVain = errors.New("there is no point in waiting")

type hold struct {
	share   any             // who may join; nil: nobody
	values  map[string]bool // that stand at the name
	changed chan struct{}   // closed when one of them goes
	waiting []func(bool)    // told when one of them goes
}

// lock waits for a turn at a name, which must be canonical. Holders with the
// same share, other than nil, hold it together, each with a value of its own.
// When vain is closed the wait ends with errInVain; nil never is. queued, if not
// nil, is told of each wait and its end; all waits at a name end together.
func (n *nameLocks) lock(ctx context.Context, vain <-chan struct{}, name, value string, share any, queued func(bool)) (unlock func(), err error) {
	for {
		wait := n.try(name, value, share, queued)
		if wait == nil {
			return func() { n.unlock(name, value) }, nil
		}
		select {
		case <-wait:
		case <-vain:
			return nil, errInVain
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// try takes the lock, or says what to wait for.
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
