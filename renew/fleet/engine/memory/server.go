package memory

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"keypaird/renew/fleet/engine"
)

// ErrUnreachable is the error of a request that the server does not get.
var ErrUnreachable = errors.New("the engine is unreachable")

// ErrReadOnly is the error of a commit, or of a new lease, at a server without space.
var ErrReadOnly = errors.New("the engine has no space left")

// errLease is the error of a request with a lease that the server does not have.
var errLease = errors.New("the lease has ended")

// A Server holds the entries that its clients share.
type Server struct {
	mu      sync.Mutex
	state   state
	faults  Faults
	changed chan struct{} // closed at each change, and replaced
	history int           // grows when the server is restored
}

// A state is all that a backup keeps.
type state struct {
	revision  engine.Revision
	compacted engine.Revision // changes up to it are forgotten
	entries   map[string]entry
	changes   []engine.Change // by revision
	leases    map[engine.LeaseID]*held
	lastLease engine.LeaseID
}

type entry struct {
	engine.Entry
	lease engine.LeaseID
}

// A held lease ends when its timer fires.
type held struct {
	ttl   time.Duration
	timer *time.Timer
}

// New returns an empty server.
func New() *Server {
	return &Server{changed: make(chan struct{}), state: state{
		revision: 1, entries: map[string]entry{}, leases: map[engine.LeaseID]*held{},
	}}
}

// wake wakes all who follow. s.mu is held.
func (s *Server) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// Revision returns the revision of the newest change.
func (s *Server) Revision() engine.Revision {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.revision
}

// Compact forgets the changes up to a revision, at most the newest.
func (s *Server) Compact(r engine.Revision) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.compacted = max(s.state.compacted, min(r, s.state.revision))
	s.state.changes = slices.DeleteFunc(s.state.changes, func(c engine.Change) bool { return c.Revision <= s.state.compacted })
	s.wake()
}

// A Backup is a copy of what a server had.
type Backup struct{ state state }

// Backup returns a copy of what the server has.
func (s *Server) Backup() Backup {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Backup{s.state.clone()}
}

// Restore makes the server have what a backup has; the zero Backup empties it. Leases of
// the backup begin anew. Those who follow learn of a gap at once. Of a follower that
// comes later the server knows only whether its revision is newer than its own.
func (s *Server) Restore(b Backup) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.state.leases {
		h.timer.Stop()
	}
	if b.state.entries == nil {
		b.state.revision = 1
	}
	s.state = b.state.clone()
	s.history++
	for id, h := range s.state.leases {
		s.arm(id, h)
	}
	s.wake()
}

func (st state) clone() state {
	c := st
	c.entries = maps.Clone(st.entries)
	c.changes = slices.Clone(st.changes)
	c.leases = map[engine.LeaseID]*held{}
	if c.entries == nil {
		c.entries = map[string]entry{}
	}
	for id, h := range st.leases {
		c.leases[id] = &held{ttl: h.ttl}
	}
	return c
}

// commit performs all of do if all conditions hold. s.mu is held.
func (s *Server) commit(conditions []engine.Condition, do []engine.Op) (engine.Revision, error) {
	for _, c := range conditions {
		e, ok := s.state.entries[c.Key]
		if ok != (c.Value != nil) || !bytes.Equal(e.Value, c.Value) {
			return 0, &engine.ConditionError{Key: c.Key}
		}
	}
	seen := map[string]bool{}
	for _, op := range do {
		if seen[op.Key] {
			return 0, fmt.Errorf("a commit sets %s twice", op.Key)
		}
		seen[op.Key] = true
		if op.Lease != 0 && s.state.leases[op.Lease] == nil {
			return 0, errLease
		}
	}
	s.apply(do)
	return s.state.revision, nil
}

// apply performs all of do as one revision, if it changes anything. s.mu is held.
func (s *Server) apply(do []engine.Op) {
	next := s.state.revision + 1
	for _, op := range do {
		e := engine.Entry{Key: op.Key, Value: bytes.Clone(op.Value), Revision: next}
		if op.Value == nil {
			if _, ok := s.state.entries[op.Key]; !ok {
				continue
			}
			delete(s.state.entries, op.Key)
		} else {
			s.state.entries[op.Key] = entry{e, op.Lease}
		}
		s.state.changes = append(s.state.changes, e)
		s.state.revision = next
	}
	if s.state.revision == next {
		s.wake()
	}
}

// read returns the entries that begin with prefix. s.mu is held.
func (s *Server) read(prefix string) engine.Snapshot {
	snapshot := engine.Snapshot{Revision: s.state.revision}
	for _, key := range slices.Sorted(maps.Keys(s.state.entries)) {
		if strings.HasPrefix(key, prefix) {
			snapshot.Entries = append(snapshot.Entries, copied(s.state.entries[key].Entry))
		}
	}
	return snapshot
}

// since returns the changes after a revision, those of each prefix in their order. s.mu
// is held.
func (s *Server) since(prefixes []string, after engine.Revision) []engine.Change {
	found := make([][]engine.Change, len(prefixes))
	first, _ := slices.BinarySearchFunc(s.state.changes, after+1, func(c engine.Change, r engine.Revision) int { return int(c.Revision - r) })
	for _, c := range s.state.changes[first:] {
		i := slices.IndexFunc(prefixes, func(p string) bool { return strings.HasPrefix(c.Key, p) })
		if i >= 0 {
			found[i] = append(found[i], copied(c))
		}
	}
	return slices.Concat(found...)
}

func copied(e engine.Entry) engine.Entry {
	e.Value = bytes.Clone(e.Value)
	return e
}

// lease makes a lease. s.mu is held.
func (s *Server) lease(ttl time.Duration) engine.LeaseID {
	s.state.lastLease++
	h := &held{ttl: ttl}
	s.state.leases[s.state.lastLease] = h
	s.arm(s.state.lastLease, h)
	return s.state.lastLease
}

// arm ends a lease once its time is over. s.mu is held.
func (s *Server) arm(id engine.LeaseID, h *held) {
	if h.timer != nil {
		h.timer.Stop()
	}
	h.timer = time.AfterFunc(h.ttl, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		switch {
		case s.state.leases[id] != h:
		case s.faults.Unreachable:
			s.arm(id, h) // a server that is down counts no time
		default:
			s.endLease(id)
		}
	})
}

// renew begins the time of a lease anew. s.mu is held.
func (s *Server) renew(id engine.LeaseID) error {
	h := s.state.leases[id]
	if h == nil {
		return errLease
	}
	s.arm(id, h)
	return nil
}

// EndLease ends a lease, as if its time were over.
func (s *Server) EndLease(id engine.LeaseID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endLease(id)
}

// endLease ends a lease, with its keys. s.mu is held.
func (s *Server) endLease(id engine.LeaseID) {
	h := s.state.leases[id]
	if h == nil {
		return
	}
	h.timer.Stop()
	delete(s.state.leases, id)
	var do []engine.Op
	for _, key := range slices.Sorted(maps.Keys(s.state.entries)) {
		if s.state.entries[key].lease == id {
			do = append(do, engine.Op{Key: key})
		}
	}
	s.apply(do)
}
