package fleet

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/engine"
	"keypaird/renew/fleet/engine/memory"
	"keypaird/renew/fleet/wave"
	"keypaird/renew/keypair"
	"keypaird/renew/keypair/pairtest"
)

// A simulation is a fleet with a CA. Each node does what the daemon does, in the same
// order: it compares what it has with the engine, takes or publishes, orders if it sits in
// the seat, deploys and reports. Nodes are killed, stopped, cut from the engine and
// started again. What a node has on its disk stays.
type simulation struct {
	*world
	random  *dice
	ca      *countingCA
	targets map[string]time.Duration // lifetime of its certificates
	fenced  bool
	stops   int           // steps of an order in a hundred at which the machine stops
	every   time.Duration // between passes
	quiet   bool
	sim     map[string]*simNode
}

// A countingCA certifies what it is asked for. Finalizing an order twice with one key
// returns the same certificate.
type countingCA struct {
	clock func() time.Time

	mu     sync.Mutex
	orders []*caOrder
	down   bool
}

type caOrder struct {
	target string
	pair   *keypair.Pair // nil: it was never finalized
	key    crypto.Signer
}

var errCA = errors.New("the CA refused")

func (ca *countingCA) newOrder(target string) (int, error) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	if ca.down {
		return 0, errCA
	}
	ca.orders = append(ca.orders, &caOrder{target: target})
	return len(ca.orders) - 1, nil
}

func (ca *countingCA) finalize(order int, key crypto.Signer, life time.Duration) (*keypair.Pair, error) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	o := ca.orders[order]
	if ca.down {
		return nil, errCA
	}
	if o.pair != nil {
		if !key.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(o.key.Public()) {
			return nil, errCA
		}
		return o.pair, nil
	}
	var err error
	o.key = key
	o.pair, err = pairtest.IssueFor(key, []string{o.target}, ca.clock(), life)
	return o.pair, err
}

// doubles returns renewals for which there are two certificates: the second was issued
// before the first was due.
func (ca *countingCA) doubles() (certificates int, doubles []string) {
	last := map[string]time.Time{}
	var issued []*caOrder
	for _, o := range ca.orders {
		if o.pair != nil {
			issued = append(issued, o)
		}
	}
	slices.SortFunc(issued, func(a, b *caOrder) int { return a.pair.Leaf.NotBefore.Compare(b.pair.Leaf.NotBefore) })
	for _, o := range issued {
		leaf := o.pair.Leaf
		if before, ok := last[o.target]; ok && leaf.NotBefore.Before(before) {
			doubles = append(doubles, fmt.Sprintf("%s at %v, due at %v", o.target, leaf.NotBefore, before))
		}
		last[o.target] = due(o.pair).Add(-2 * time.Second) // certificates have whole seconds
	}
	return len(issued), doubles
}

// due is when a pair is renewed.
func due(p *keypair.Pair) time.Time {
	return p.Leaf.NotAfter.Add(-p.Leaf.NotAfter.Sub(p.Leaf.NotBefore) / 2)
}

// A simNode is a machine: its disk, and the process that runs there.
type simNode struct {
	s      *simulation
	name   string
	disk   map[string]*disk // by target
	client *memory.Client
	fleet  *Fleet
	kill   context.CancelFunc
	dead   chan struct{}
	wake   chan struct{}
	broken bool // its deployments fail

	mu      sync.Mutex
	stopped chan struct{} // open while the machine is stopped; nil: it runs
}

type disk struct {
	serial   uint64
	released string
	newest   *keypair.Pair
	all      map[string]bool // fingerprints
	serves   string
	failures int
}

func newSimulation(t testing.TB, seed uint64, nodes []string, targets map[string]time.Duration) *simulation {
	w := newWorld(t, nodes...)
	s := &simulation{world: w, random: &dice{rand: rand.New(rand.NewPCG(seed, 1))}, targets: targets, fenced: true, stops: 10, every: 20 * time.Second, quiet: true, sim: map[string]*simNode{}}
	s.ca = &countingCA{clock: w.clock}
	for _, name := range nodes {
		n := &simNode{s: s, name: name, disk: map[string]*disk{}}
		for target := range targets {
			n.disk[target] = &disk{all: map[string]bool{}}
		}
		s.sim[name] = n
	}
	return s
}

// boot starts the process of a machine.
func (n *simNode) boot() {
	s := n.s
	n.client = s.server.Client(n.name)
	o := s.options(n.name)
	o.Engine = n.client
	if s.quiet {
		o.Log = slog.New(slog.DiscardHandler)
	}
	n.wake = make(chan struct{}, 1)
	wake := n.wake
	o.Changed = func([]string) {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
	o.Urgent = func(target string) bool { return false }
	ctx, cancel := context.WithCancel(s.t.Context())
	n.fleet, n.kill, n.dead = New(o), cancel, make(chan struct{})
	f, dead := n.fleet, n.dead
	go func() {
		var wg sync.WaitGroup
		wg.Go(func() { _ = f.Run(ctx) })
		wg.Go(func() { n.passes(ctx, f, wake) })
		wg.Wait()
		close(dead)
	}()
}

// end ends the process: at once, or as the service manager does it.
func (n *simNode) end(at string) {
	n.resume()
	if at == "once" {
		n.client.Kill()
	}
	n.kill()
	<-n.dead
}

// stop stops the machine: it sends and hears nothing, and its process stands still.
func (n *simNode) stop() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stopped == nil {
		n.stopped = make(chan struct{})
		n.client.Set(memory.Faults{Hang: true})
	}
}

func (n *simNode) resume() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stopped != nil {
		close(n.stopped)
		n.stopped = nil
		n.client.Set(memory.Faults{})
	}
}

// takesTime passes as long as a step of an order takes, and while the machine is stopped:
// some stop right there, until another may sit.
func (n *simNode) takesTime(ctx context.Context, most time.Duration) {
	n.s.mu.Lock()
	d := time.Duration(n.s.random.Int64N(int64(most)))
	stops := n.s.random.IntN(100) < n.s.stops
	until := 28*time.Second + time.Duration(n.s.random.Int64N(int64(30*time.Second)))
	n.s.mu.Unlock()
	if stops {
		n.stop()
		time.AfterFunc(until, n.resume)
	}
	pause(ctx, d)
	n.mu.Lock()
	stopped := n.stopped
	n.mu.Unlock()
	if stopped != nil {
		select {
		case <-ctx.Done():
		case <-stopped:
		}
	}
}

func (n *simNode) passes(ctx context.Context, f *Fleet, wake <-chan struct{}) {
	f.Wait(ctx)
	for ctx.Err() == nil {
		for _, target := range slices.Sorted(keys(n.s.targets)) {
			if ctx.Err() == nil {
				_ = n.pass(ctx, f, target)
			}
		}
		timer := time.NewTimer(n.s.every)
		select {
		case <-ctx.Done():
		case <-wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

func keys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// pass does for one target what a pass of the daemon does.
func (n *simNode) pass(ctx context.Context, f *Fleet, target string) error {
	d := n.disk[target]
	t, _ := f.Term()
	r, _ := f.Release(target)
	local := Local{Serial: d.serial, Released: d.released, HasEngine: d.all[r.Fingerprint], Seated: t != nil}
	if d.newest != nil {
		local.Newest = d.newest.Fingerprint()
	}
	switch Compare(local, r) {
	case Take:
		p, r, err := f.Pair(ctx, target)
		if err != nil {
			return err
		}
		n.store(d, p)
		if err := n.release(target, r.Serial, r.Fingerprint); err != nil {
			return err
		}
	case Note:
		if err := n.release(target, r.Serial, r.Fingerprint); err != nil {
			return err
		}
	case Publish:
		if err := n.publish(ctx, f, t, target, ""); err != nil {
			return err
		}
	}
	if t != nil && (d.newest == nil || !n.s.clock().Before(due(d.newest))) {
		if err := n.order(ctx, f, t, target); err != nil {
			return err
		}
	}
	n.deploy(f, target)
	return nil
}

func (n *simNode) store(d *disk, p *keypair.Pair) {
	d.newest = p
	d.all[p.Fingerprint()] = true
}

// release records a serial, which never goes down.
func (n *simNode) release(target string, serial uint64, fingerprint string) error {
	d := n.disk[target]
	if serial < d.serial {
		n.s.t.Errorf("%s: serial of %s from %d to %d", n.name, target, d.serial, serial)
	}
	d.serial, d.released = serial, fingerprint
	return nil
}

func (n *simNode) publish(ctx context.Context, f *Fleet, t *Term, target, ca string) error {
	d := n.disk[target]
	serial, err := f.Publish(ctx, t, Publication{Target: target, Pair: d.newest, CA: ca, Serial: d.serial})
	if err != nil {
		return err
	}
	return n.release(target, serial, d.newest.Fingerprint())
}

// commit writes something of an order: without the fence, whoever sits.
func (n *simNode) commit(ctx context.Context, t *Term, op engine.Op) error {
	if n.s.fenced {
		return t.Commit(ctx, op)
	}
	_, err := n.client.Commit(ctx, nil, []engine.Op{op})
	return err
}

func (n *simNode) good(t *Term) error {
	if n.s.fenced {
		return t.Good()
	}
	return nil
}

// A simOrder is what the engine has of an order before the CA is asked.
type simOrder struct {
	Stage string // placing, open, finalizing
	URL   int
}

func parseOrder(data []byte) (o simOrder, err error) {
	err = json.Unmarshal(data, &o)
	return o, err
}

// order orders, or goes on with an order.
func (n *simNode) order(ctx context.Context, f *Fleet, t *Term, target string) error {
	key := document.OrderKey(target, "ca")
	o, secret, found, err := Fetch(ctx, f, key, f.Order, parseOrder)
	if err != nil {
		return err
	}
	write := func(o simOrder) error {
		n.takesTime(ctx, time.Second)
		op, err := f.Op(key, o, secret, f.Order)
		if err != nil {
			return err
		}
		return n.commit(ctx, t, op)
	}
	if !found || o.Stage == "placing" {
		private, err := keypair.NewKey(ctx, "ec256")
		if err != nil {
			return err
		}
		if secret, err = keypair.MarshalKey(private); err != nil {
			return err
		}
		if err := write(simOrder{Stage: "placing"}); err != nil {
			return err
		}
		if err := n.good(t); err != nil {
			return err
		}
		n.takesTime(ctx, 2*time.Second)
		url, err := n.s.ca.newOrder(target)
		if err != nil {
			return err
		}
		o = simOrder{Stage: "open", URL: url}
		if err := write(o); err != nil {
			return err
		}
		n.takesTime(ctx, 5*time.Second)
	}
	o.Stage = "finalizing"
	if err := write(o); err != nil {
		return err
	}
	if err := n.good(t); err != nil {
		return err
	}
	private, err := keypair.ParseKey(secret)
	if err != nil {
		return err
	}
	n.takesTime(ctx, 2*time.Second)
	pair, err := n.s.ca.finalize(o.URL, private, n.s.targets[target])
	if err != nil || ctx.Err() != nil {
		return err
	}
	n.store(n.disk[target], pair)
	n.takesTime(ctx, time.Second)
	return n.publish(ctx, f, t, target, "ca")
}

// deploy deploys what this node may deploy, and reports it.
func (n *simNode) deploy(f *Fleet, target string) {
	d := n.disk[target]
	if d.newest == nil {
		return
	}
	r, _ := f.Release(target)
	if d.serves != d.newest.Fingerprint() && wave.Allows(r, n.name) && r.Fingerprint == d.newest.Fingerprint() {
		if n.broken {
			d.failures++
			f.Report(target, d.serial, &document.Exception{Failures: d.failures, Err: "reload failed", At: n.s.clock()})
			return
		}
		d.failures, d.serves = 0, d.newest.Fingerprint()
	}
	if d.serves == d.newest.Fingerprint() {
		f.Report(target, d.serial, nil)
	} else {
		f.Report(target, d.serial, &document.Exception{At: n.s.clock()})
	}
}

// disturb does one thing to one node, and undoes it.
func (s *simulation) disturb() {
	n := s.sim[s.names[s.random.IntN(len(s.names))]]
	if s.random.IntN(2) == 0 { // the node in the seat
		if seat := s.sim[s.holder()]; seat != nil {
			n = seat
		}
	}
	long := time.Duration(s.random.Int64N(int64(90 * time.Second)))
	switch s.random.IntN(8) {
	case 0: // killed
		n.end("once")
		time.Sleep(long)
		n.boot()
	case 1: // restarted
		n.end("term")
		time.Sleep(long / 10)
		n.boot()
	case 2, 3: // stopped
		n.stop()
		time.Sleep(long)
		n.resume()
	case 4: // cut from the engine
		n.client.Set(memory.Faults{Unreachable: true})
		time.Sleep(long)
		n.client.Set(memory.Faults{})
	case 5: // answers are lost
		n.client.Set(memory.Faults{Fail: memory.LoseAnswers(1 + s.random.IntN(4))})
		time.Sleep(long)
		n.client.Set(memory.Faults{})
	case 6: // commits happen later
		n.client.Set(memory.Faults{Late: long / 2})
		time.Sleep(long / 8)
		n.client.Set(memory.Faults{})
	case 7: // the engine is away
		s.server.Set(memory.Faults{Unreachable: true})
		time.Sleep(long)
		s.server.Set(memory.Faults{})
	}
	time.Sleep(long / 4)
}

// holder returns who sits in the seat.
func (s *simulation) holder() string {
	e, _ := engine.ReadKey(s.t.Context(), s.server.Client("observer"), document.SeatKey)
	node, _, _ := document.ParseSeat(e.Value)
	return node
}

// check compares all nodes with the engine, as soon as no renewal is under way.
func (s *simulation) check() {
	s.t.Helper()
	for range 60 {
		if len(s.differences()) == 0 {
			return
		}
		time.Sleep(10 * time.Second)
	}
	for _, text := range s.differences() {
		s.t.Error(text)
	}
}

// differences says which nodes do not have, or serve, what the engine has.
func (s *simulation) differences() (list []string) {
	synctest.Wait()
	for target := range s.targets {
		newest := s.sim[s.names[0]].disk[target]
		for _, name := range s.names {
			n := s.sim[name]
			d := n.disk[target]
			r, ok := n.fleet.Release(target)
			if !ok || d.newest == nil || d.serial != r.Serial || d.newest.Fingerprint() != r.Fingerprint || d.serves != r.Fingerprint || d.serial != newest.serial || !r.All {
				list = append(list, fmt.Sprintf("%s of %s: serial %d, serves %.8s; engine: %+v", target, name, d.serial, d.serves, r))
			}
		}
	}
	return list
}

// dice are thrown by several nodes.
type dice struct {
	mu   sync.Mutex
	rand *rand.Rand
}

func (d *dice) IntN(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rand.IntN(n)
}

func (d *dice) Int64N(n int64) int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rand.Int64N(n)
}

func (d *dice) Float64() float64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rand.Float64()
}
