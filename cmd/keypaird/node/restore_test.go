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

// An engine that was emptied has forgotten which node has which release. No node orders,
// deploys what it has, or goes back, whoever sits first: not even if a release had come to
// one node alone, which is away at first.
func TestEmptiedInWaves(t *testing.T) {
	for _, away := range []string{"", "abc", "bc", "a"} { // when the engine is emptied
		for _, state := range []string{"everywhere", "canary", "canary alone", "rolled back"} {
			if state == "canary alone" && away != "abc" {
				continue
			}
			t.Run(state+", away "+away, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w, c := newMachines(t, "a", "b", "c"), &testCA{deployed: map[string][]string{}}
					w.rules = wave.Rules{Waves: []string{"1", "100%"}, Bake: 30 * time.Minute}
					dirs, all := map[string]string{}, map[string]*testMachine{}
					start := func(names string) {
						for name := range strings.SplitSeq(names, "") {
							if dirs[name] == "" {
								dirs[name] = t.TempDir()
							}
							all[name] = w.start(name, dirs[name], "a", "b")
						}
					}
					stop := func(names string) {
						for name := range strings.SplitSeq(names, "") {
							all[name].stop()
							delete(all, name)
						}
					}
					passes := func(n int) {
						for range n {
							for _, name := range slices.Sorted(maps.Keys(all)) {
								all[name].pass(c, renew.Scheduled)
							}
						}
					}
					start("abc")
					passes(3)
					time.Sleep(time.Hour)
					passes(3)
					if strings.HasPrefix(state, "canary") { // b and c do not know of the release
						stop("bc")
					}
					all["a"].pass(c, renew.Force)
					newest := all["a"].pass(c, renew.Scheduled)
					switch state {
					case "everywhere":
						passes(1)
						time.Sleep(time.Hour)
						passes(2)
					case "canary":
						stop("a")
						start("bc")
						passes(1)
						if strings.Contains(away, "a") {
							break
						}
						start("a")
						passes(1)
					case "canary alone":
						stop("a")
					case "rolled back":
						passes(1)
						time.Sleep(time.Hour)
						passes(2)
						term, err := all["a"].sits()
						ok(t, err)
						if o := all["a"].change(t.Context(), term, document.Ask{Do: document.Rollback}, domain); o.Error != "" {
							t.Fatal(o.Error)
						}
						passes(2)
						newest = all["a"].pass(c, renew.Scheduled)
					}
					for _, name := range strings.Split(away, "") {
						if all[name] != nil {
							stop(name)
						}
					}
					issued := c.issued
					before := map[string]int{}
					for name, list := range c.deployed {
						before[name] = len(list)
					}
					w.server.Restore(memory.Backup{})
					passes(1)
					time.Sleep(15 * time.Minute)
					passes(2)
					for _, name := range []string{"b", "c", "a"} {
						if all[name] == nil {
							start(name)
						}
						passes(1)
					}
					time.Sleep(2 * time.Hour)
					passes(4)
					time.Sleep(2 * time.Hour)
					passes(2)
					if c.issued != issued {
						t.Errorf("%d certificates issued, want %d", c.issued, issued)
					}
					for name, m := range all {
						s := m.pass(c, renew.Scheduled)
						list := c.deployed[name]
						want := 0
						if strings.HasPrefix(state, "canary") && name != "a" {
							want = 1
						}
						if s.Fingerprint != newest.Fingerprint || list[len(list)-1] != newest.Fingerprint || len(list)-before[name] != want {
							t.Errorf("%s has %.8s and deployed %d times, the last %.8s; want %.8s and %d", name, s.Fingerprint, len(list)-before[name], list[len(list)-1], newest.Fingerprint, want)
						}
					}
				})
			})
		}
	}
}
