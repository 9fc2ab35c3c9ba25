package fleet

import (
	"context"
	"hash/maphash"
	"log/slog"
	"slices"
	"sync"
	"time"

	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/engine"
	"keypaird/renew/fleet/envelope"
	"keypaird/renew/fleet/seat"
	"keypaird/renew/fleet/view"
	"keypaird/renew/fleet/wave"
)

// Options configure a Fleet. Without a word on zero a field is required.
type Options struct {
	Engine   engine.Engine
	Identity *envelope.Identity
	Members  envelope.Members
	ID       string            // of the fleet
	Node     string            // name of this one
	Order    []string          // nodes that may order, first choice first
	Targets  map[string]string // of an orderer: sum of each target's configuration; nil: none

	Audience func(target string) []string // nodes of its deployments, in the file's order
	Names    func(target string) []string // those that its pair must have; nil: any
	Urgent   func(target string) bool     // waves hold nobody: what is in use ends soon, or was revoked; nil: none is
	Rules    wave.Rules

	// Observer has Run only follow what is there: another process is this node.
	Observer bool

	Boot, Version string           // of this process
	Machine       string           // id of this machine since its start and of its state directory, of which one process is the daemon; "": not known
	Log           *slog.Logger     //
	Clock         func() time.Time // the wall clock; nil: time.Now

	// Changed is called when a release or the seat changed, and a pass over these targets
	// is needed; nil: over all. It is called by one goroutine, and may take long. nil:
	// nobody is called.
	Changed func(targets []string)
}

// A Fleet is one node's part in it. Its methods may be called concurrently.
type Fleet struct {
	Options
	signer view.Signer
	seed   maphash.Seed
	locks  [64]chan struct{} // full while a release is written, by target

	mu      sync.Mutex
	changed chan struct{} // closed when anything below changes, and replaced
	view    *view.View
	results map[string]result // of this process, by target
	stale   bool              // all must be read
	reread  func()            // ends followChanges
	reloads int               // how often Reconfigured was called
	differ  map[string]bool   // targets for which Differs returned an orderer
	retries map[string]*retry // of pairs that could not be used, by target
	missing map[string]uint64 // serials of releases without a pair in the engine, by target
	present bool              // the node is signed in as alive
	clone   string            // boot id of another machine with this node's name; "": none
	errs    [4]error          // why the engine cannot be used, by source
	errAt   time.Time         // since when
	term    *Term             // nil: this node does not sit
	termAt  time.Time
	untaken error // why this node could not take the seat last
	logged  bool  // that was
	doubt   bool  // the engine may refuse some writes
	rest    rest
	ca      clock           // that answered last
	pending map[string]bool // targets of the next call of Changed; nil: none
	all     bool            // the next call of Changed is for all
	seen    map[string]watched

	unreleased map[string]bool // targets of which this node has a newer pair than the release
}

// A clock is that of a CA.
type clock struct {
	at      time.Time     // when it was seen; zero: never
	since   time.Time     // likewise, by the monotonic clock
	ahead   time.Duration // of ours then
	earlier bool          // it was in an earlier term of this node
}

// A retry says when a pair that could not be used is fetched again.
type retry struct {
	after   time.Duration // the next one; doubled each time
	pending bool
}

// A rest is the time in which a node takes the seat last.
type rest struct {
	until  time.Time
	reason string
	remedy string
}

// A result is the outcome of a release on this node.
type result struct {
	serial    uint64
	exception *document.Exception // nil: verified
	failedAt  time.Time           // when a failure was counted here
}

// A Term is the time in which this node sits in the seat.
type Term = seat.Term

// ErrLost says that this node no longer sits in the seat.
var ErrLost = seat.ErrLost

// watched notes since when a wave is watched.
type watched struct {
	serial uint64
	at     time.Time // when the wave began
	since  time.Time // when all of it had verified the release
}

// New returns a node's part in a fleet, which begins with Run.
func New(o Options) *Fleet {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	f := &Fleet{Options: o, seed: maphash.MakeSeed(),
		signer:  view.Signer{Identity: o.Identity, Members: o.Members, ID: o.ID, Node: o.Node, Order: o.Order, Clock: o.Clock},
		changed: make(chan struct{}), reread: func() {}, missing: map[string]uint64{}, retries: map[string]*retry{}, differ: map[string]bool{}, results: map[string]result{}, seen: map[string]watched{}, unreleased: map[string]bool{},
	}
	for i := range f.locks {
		f.locks[i] = make(chan struct{}, 1)
	}
	f.view = view.New(f.signer, o.Log, f.wants, f.SeesAll()) // what others need not know would only load the engine
	return f
}

// orders reports whether this node may order.
func (f *Fleet) orders() bool { return slices.Contains(f.Order, f.Node) }

// wants reports whether this node needs the releases of a target.
func (f *Fleet) wants(target string) bool {
	return f.SeesAll() || slices.Contains(f.Audience(target), f.Node)
}

// now returns the time of the wall clock.
func (f *Fleet) now() time.Time { return f.Clock().Round(0) }

// wake wakes all loops. f.mu is held.
func (f *Fleet) wake() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// update changes the state and wakes all loops.
func (f *Fleet) update(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
	f.wake()
}

// apply takes changes of the view over. f.mu is held.
func (f *Fleet) apply(d view.Delta) {
	if d.Seat {
		f.all = true
	}
	if f.pending == nil {
		f.pending = map[string]bool{}
	}
	for target := range d.Targets {
		f.pending[target] = true
	}
	if d.Any() {
		f.wake()
	}
}

// wrote takes over what this node has just written, before it is followed.
func (f *Fleet) wrote(revision engine.Revision, ops ...engine.Op) {
	f.mu.Lock()
	defer f.mu.Unlock()
	d := view.NewDelta()
	for _, op := range ops {
		if !f.view.Wrote(engine.Entry{Key: op.Key, Value: op.Value, Revision: revision}, f.now(), &d) {
			f.readAll()
		}
	}
	f.apply(d)
}

// readAgain makes follow read all.
func (f *Fleet) readAgain() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.readAll()
}

// readAll is readAgain. f.mu is held.
func (f *Fleet) readAll() {
	f.stale = true
	f.reread()
}

// lock waits until no other writes the release of a target, and returns what lets the
// next one.
func (f *Fleet) lock(ctx context.Context, target string) (unlock func(), err error) {
	l := f.locks[maphash.String(f.seed, target)%uint64(len(f.locks))]
	select {
	case l <- struct{}{}:
		return func() { <-l }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// pause waits, and reports whether ctx goes on.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
