package node

import (
	"context"
	"crypto/x509"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keypaird/renew"
	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/engine/memory"
	"keypaird/renew/fleet/wave"
	"keypaird/renew/keypair"
	"keypaird/renew/keypair/pairtest"
)

// A testCA counts what it issues, and what nodes deploy.
type testCA struct {
	issued   int
	deployed map[string][]string // fingerprints by node
}

// A testServer is where a node deploys.
type testServer struct {
	ca   *testCA
	node string
}

func (testServer) String() string                                 { return "server" }
func (testServer) Spec(string) renew.DeploySpec                   { return renew.DeploySpec{ConfigHash: "1"} }
func (testServer) Paths(string) []string                          { return nil }
func (testServer) Inspect(string, *keypair.Pair) renew.Inspection { return renew.Inspection{} }
func (testServer) Endpoints() []string                            { return nil }
func (testServer) Probe(_ context.Context, c []renew.Change) []renew.Result {
	return make([]renew.Result, len(c))
}

func (s testServer) Deploy(_ context.Context, changes []renew.Change) []renew.Result {
	for _, c := range changes {
		s.ca.deployed[s.node] = append(s.ca.deployed[s.node], c.New.Fingerprint())
	}
	return make([]renew.Result, len(changes))
}

func (*testCA) String() string                         { return ca }
func (*testCA) Forget(*x509.Certificate) (bool, error) { return false, nil }
func (*testCA) Limit(*x509.Certificate) renew.Limit    { return renew.Limit{} }

func (c *testCA) Obtain(context.Context, renew.Order) (*keypair.Pair, error) {
	c.issued++
	return pairtest.Issue([]string{domain}, time.Now(), 90*24*time.Hour)
}

// pass makes a pass, as the daemon does, and returns what is stored and recorded then.
func (m *testMachine) pass(c *testCA, mode renew.Mode) renew.State {
	m.t.Helper()
	time.Sleep(30 * time.Second) // until all is followed
	target := renew.Target{Name: domain, Names: []string{domain}, KeyType: "ec256", Issuers: []renew.Issuer{c}, Sharing: m.Sharing(domain)}
	if c.deployed != nil {
		target.Deploy = []renew.Deployer{testServer{c, m.Name()}}
	}
	m.Begin(m.t.Context(), nil)
	p := renew.Pass{Store: m.o.Store, Mode: mode, Log: slog.New(slog.NewTextHandler(m.t.Output(), nil))}
	r := p.Run(m.t.Context(), []renew.Target{target})
	m.End()
	if len(r.Targets) != 1 || r.Targets[0].Err != nil {
		m.t.Fatalf("%s: %v", m.Name(), r.Targets)
	}
	return r.Targets[0].State
}

// Nothing is ordered anew because the engine was restored from an old backup or emptied, or
// a node from an old snapshot. All go on with the newest certificate, and serials only grow.
func TestRestored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := newMachines(t, "a", "b"), new(testCA)
		dirA, dirB := t.TempDir(), t.TempDir()
		startA := func() *testMachine { return w.start("a", dirA, "a", "b") }
		a, b := startA(), w.start("b", dirB, "a", "b")
		var newest string
		var serial uint64
		agree := func(orders int) {
			t.Helper()
			for range 2 {
				for _, m := range []*testMachine{a, b} {
					_ = m.pass(c, renew.Scheduled)
				}
			}
			time.Sleep(15 * time.Minute) // a watch that says nothing
			for _, m := range []*testMachine{a, b} {
				s := m.pass(c, renew.Scheduled)
				if newest != "" && s.Fingerprint != newest || s.Record.Fleet.Serial < serial {
					t.Errorf("%s has %.8s, serial %d; want %.8s, at least %d", m.Name(), s.Fingerprint, s.Record.Fleet.Serial, newest, serial)
				}
				newest, serial = s.Fingerprint, s.Record.Fleet.Serial
				if r, ok := m.release(domain); !ok || r.Fingerprint != newest || r.Serial != serial {
					t.Errorf("%s: the engine has %.8s, serial %d; want %.8s, %d", m.Name(), r.Fingerprint, r.Serial, newest, serial)
				}
			}
			if c.issued != orders {
				t.Fatalf("%d certificates issued, want %d", c.issued, orders)
			}
		}
		agree(1)
		snapshot := t.TempDir()
		a.stop()
		ok(t, os.CopyFS(filepath.Join(snapshot, "a"), os.DirFS(dirA)))
		a = startA()
		backup := w.server.Backup()
		time.Sleep(time.Minute)
		for _, m := range []*testMachine{a, b} {
			m.pass(c, renew.Force)
		}
		newest = ""
		agree(2)

		t.Log("the engine is restored from an old backup")
		w.server.Restore(backup)
		agree(2)

		t.Log("the engine is emptied")
		w.server.Restore(memory.Backup{})
		agree(2)

		t.Log("a node is restored from an old snapshot")
		a.stop()
		ok(t, os.RemoveAll(dirA), os.CopyFS(dirA, os.DirFS(filepath.Join(snapshot, "a"))))
		a = startA()
		agree(2)

		t.Log("both, and the node that has the newest is away at first")
		a.stop()
		b.stop()
		w.server.Restore(backup)
		ok(t, os.RemoveAll(dirA), os.CopyFS(dirA, os.DirFS(filepath.Join(snapshot, "a"))))
		a = startA()
		time.Sleep(time.Hour)
		a.pass(c, renew.Scheduled)
		b = w.start("b", dirB, "a", "b")
		agree(2)
	})
}

// A waveTest is a fleet of the nodes a, b and c, of which a and b order.
type waveTest struct {
	*machines
	ca      *testCA
	dirs    map[string]string
	running map[string]*testMachine
	away    string // the nodes that do not run when the engine is emptied
	newest  renew.State
}

// start starts nodes, each named by one letter.
func (w *waveTest) start(names string) {
	for name := range strings.SplitSeq(names, "") {
		if w.dirs[name] == "" {
			w.dirs[name] = w.t.TempDir()
		}
		w.running[name] = w.machines.start(name, w.dirs[name], "a", "b")
	}
}

// stop stops nodes.
func (w *waveTest) stop(names string) {
	for name := range strings.SplitSeq(names, "") {
		w.running[name].stop()
		delete(w.running, name)
	}
}

// passes has each node that runs make n passes.
func (w *waveTest) passes(n int) {
	for range n {
		for _, name := range slices.Sorted(maps.Keys(w.running)) {
			w.running[name].pass(w.ca, renew.Scheduled)
		}
	}
}

// order has node a order a certificate.
func (w *waveTest) order() {
	w.running["a"].pass(w.ca, renew.Force)
	w.newest = w.running["a"].pass(w.ca, renew.Scheduled)
}

// everywhere has a release come to all nodes.
func (w *waveTest) everywhere() {
	w.order()
	w.passes(1)
	time.Sleep(time.Hour)
	w.passes(2)
}

// canary has a release come to node a alone; the others know of it.
func (w *waveTest) canary() {
	w.canaryAlone()
	w.start("bc")
	w.passes(1)
	if !strings.Contains(w.away, "a") {
		w.start("a")
		w.passes(1)
	}
}

// canaryAlone has a release come to node a, which no other node knows of.
func (w *waveTest) canaryAlone() {
	w.stop("bc")
	w.order()
	w.stop("a")
}

// rolledBack has a release come to all nodes, and the one before it after that.
func (w *waveTest) rolledBack() {
	w.everywhere()
	a := w.running["a"]
	term, err := a.sits()
	ok(w.t, err)
	if o := a.change(w.t.Context(), term, document.Ask{Do: document.Rollback}, domain); o.Error != "" {
		w.t.Fatal(o.Error)
	}
	w.passes(2)
	w.newest = a.pass(w.ca, renew.Scheduled)
}

// empty empties the engine, and has all nodes go on.
func (w *waveTest) empty() {
	w.server.Restore(memory.Backup{})
	w.passes(1)
	time.Sleep(15 * time.Minute)
	w.passes(2)
	for _, name := range []string{"b", "c", "a"} {
		if w.running[name] == nil {
			w.start(name)
		}
		w.passes(1)
	}
	time.Sleep(2 * time.Hour)
	w.passes(4)
	time.Sleep(2 * time.Hour)
	w.passes(2)
}

// An engine that was emptied has forgotten which node has which release. No node orders,
// deploys what it has, or goes back, whoever sits first: not even if a release had come to
// one node alone, which is away at first.
func TestEmptiedInWaves(t *testing.T) {
	for _, tt := range []struct {
		name    string
		prepare func(*waveTest)
		others  int      // how often b and c deploy after that
		away    []string // when the engine is emptied
	}{
		{"everywhere", (*waveTest).everywhere, 0, []string{"", "abc", "bc", "a"}},
		{"canary", (*waveTest).canary, 1, []string{"", "abc", "bc", "a"}},
		{"canary alone", (*waveTest).canaryAlone, 1, []string{"abc"}},
		{"rolled back", (*waveTest).rolledBack, 0, []string{"", "abc", "bc", "a"}},
	} {
		for _, away := range tt.away {
			t.Run(tt.name+", away "+away, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { testEmptied(t, away, tt.prepare, tt.others) })
			})
		}
	}
}

func testEmptied(t *testing.T, away string, prepare func(*waveTest), others int) {
	w := &waveTest{
		machines: newMachines(t, "a", "b", "c"), ca: &testCA{deployed: map[string][]string{}},
		dirs: map[string]string{}, running: map[string]*testMachine{}, away: away,
	}
	w.rules = wave.Rules{Waves: []string{"1", "100%"}, Bake: 30 * time.Minute}
	w.start("abc")
	w.passes(3)
	time.Sleep(time.Hour)
	w.passes(3)
	prepare(w)
	for name := range strings.SplitSeq(away, "") {
		if w.running[name] != nil {
			w.stop(name)
		}
	}
	issued, before := w.ca.issued, map[string]int{}
	for name, list := range w.ca.deployed {
		before[name] = len(list)
	}
	w.empty()
	if w.ca.issued != issued {
		t.Errorf("%d certificates issued, want %d", w.ca.issued, issued)
	}
	for name, m := range w.running {
		s := m.pass(w.ca, renew.Scheduled)
		list, want := w.ca.deployed[name], others
		if name == "a" {
			want = 0
		}
		if s.Fingerprint != w.newest.Fingerprint || list[len(list)-1] != w.newest.Fingerprint || len(list)-before[name] != want {
			t.Errorf("%s has %.8s and deployed %d times, the last %.8s; want %.8s and %d", name, s.Fingerprint, len(list)-before[name], list[len(list)-1], w.newest.Fingerprint, want)
		}
	}
}
