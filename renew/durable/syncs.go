package durable

import "sync"

// syncs has callers that want the same thing synced share what they wait for. A
// sync that has begun may miss what a caller has just written, so that caller
// waits for the next one, with all others that come before that begins.
type syncs struct {
	mu   sync.Mutex
	last *sharedSync // that began; nil: none did
	next *sharedSync // not yet begun; nil: there is none
}

type sharedSync struct {
	done chan struct{} // closed after err was set
	err  error
}

// share calls sync, or waits for a call that begins after this one.
func (s *syncs) share(sync func() error) error {
	s.mu.Lock()
	last, mine, first := s.last, s.next, s.next == nil
	if first {
		mine = &sharedSync{done: make(chan struct{})}
		s.next = mine
	}
	s.mu.Unlock()
	if !first {
		<-mine.done
		return mine.err
	}
	if last != nil {
		<-last.done
	}
	s.mu.Lock()
	s.last, s.next = mine, nil // later callers wait for the next one
	s.mu.Unlock()
	mine.err = sync()
	close(mine.done)
	return mine.err
}
