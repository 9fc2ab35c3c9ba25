package fleet

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/engine/memory"
	"keypaird/renew/fleet/envelope"
	"keypaird/renew/fleet/wave"
)

const day = 24 * time.Hour

// A world is an engine and the nodes that meet in it. It begins in the year 2026.
type world struct {
	t       testing.TB
	server  *memory.Server
	members envelope.Members
	keys    map[string]*envelope.Identity
	names   []string // of the nodes
	order   []string
	rules   wave.Rules
	clock   func() time.Time
	mu      sync.Mutex
	nodes   map[string]*testNode
}

// A testNode is a node with a connection of its own to the engine.
type testNode struct {
	*Fleet
	client  *memory.Client
	stop    context.CancelFunc
	stopped chan struct{}
	changed chan []string
}

// inFleet runs a test in simulated time, in the world of some nodes. Those that it started
// end after it.
func inFleet(t *testing.T, nodes string, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, strings.Fields(nodes)...)
		defer w.end()
		test(t, w)
	})
}

func newWorld(t testing.TB, names ...string) *world {
	t.Helper()
	time.Sleep(time.Until(time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)))
	w := &world{t: t, server: memory.New(), members: envelope.Members{}, keys: map[string]*envelope.Identity{},
		names: names, order: names, clock: time.Now, rules: wave.Rules{Waves: []string{"1", "25%", "100%"}}, nodes: map[string]*testNode{}}
	for _, name := range names {
		key, err := envelope.Generate()
		if err != nil {
			t.Fatal(err)
		}
		w.keys[name], w.members[name] = key, key.Publics()
	}
	return w
}

const fleetID = "0123456789abcdef0123456789abcdef"

func (w *world) options(name string) Options {
	return Options{
		Identity: w.keys[name], Members: w.members, ID: fleetID, Node: name, Order: w.order,
		Audience: func(string) []string { return w.names }, Rules: w.rules,
		Clock: func() time.Time { return w.clock() },
		Boot:  document.NewID(), Version: "v1.0.0", Log: slog.New(slog.NewTextHandler(testWriter{w.t, name}, nil)),
	}
}

type testWriter struct {
	t    testing.TB
	name string
}

func (w testWriter) Write(data []byte) (int, error) {
	w.t.Logf("%s %s: %s", time.Now().Format("01-02 15:04:05.0"), w.name, data)
	return len(data), nil
}

// start runs a node with its own connection.
func (w *world) start(name string, change ...func(*Options)) *testNode {
	o := w.options(name)
	n := &testNode{client: w.server.Client(name), stopped: make(chan struct{}), changed: make(chan []string, 1000)}
	o.Engine = n.client
	o.Changed = func(targets []string) { n.changed <- targets }
	for _, c := range change {
		c(&o)
	}
	n.Fleet = New(o)
	ctx, cancel := context.WithCancel(w.t.Context())
	n.stop = cancel
	w.mu.Lock()
	w.nodes[name] = n
	w.mu.Unlock()
	go func() {
		defer close(n.stopped)
		_ = n.Run(ctx)
	}()
	return n
}

// end ends a node.
func (n *testNode) end() {
	n.stop()
	<-n.stopped
}

// end ends all nodes.
func (w *world) end() {
	for _, n := range w.nodes {
		n.end()
	}
}

func (w *world) publish(n *testNode, target string) uint64 {
	w.t.Helper()
	p := issuePair(w.t, target)
	term, err := n.Term()
	if err != nil {
		w.t.Fatal(err)
	}
	serial, err := n.Publish(w.t.Context(), term, Publication{Target: target, Pair: p})
	if err != nil {
		w.t.Fatal(err)
	}
	return serial
}

func TestPublish(t *testing.T) {
	inFleet(t, "a b c", func(t *testing.T, w *world) {
		a, b, c := w.start("a"), w.start("b"), w.start("c")
		time.Sleep(5 * time.Second)
		if s := a.Seat(); !s.Mine || b.Seat().Node != "a" || c.Seat().Mine {
			t.Fatalf("seat: %+v", s)
		}
		if serial := w.publish(a, "example.org"); serial != 1 {
			t.Errorf("serial %d", serial)
		}
		time.Sleep(time.Second)
		if _, ok := c.Release("example.org"); !ok {
			t.Error("no release")
		}
		p, r, err := c.Pair(t.Context(), "example.org")
		if err != nil || p.Fingerprint() != r.Fingerprint {
			t.Errorf("pair: %v", err)
		}
		for _, n := range []*testNode{a, b, c} {
			n.Report("example.org", 1, nil)
			time.Sleep(2 * time.Second)
			r, _ = c.Release("example.org")
		}
		if !r.All {
			t.Error("not for all")
		}
	})
}
