package node

import (
	"context"
	"crypto/x509"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"keypaird/renew"
	"keypaird/renew/fleet/engine/memory"
	"keypaird/renew/keypair"
	"keypaird/renew/keypair/pairtest"
)

// A testCA counts what it issues.
type testCA struct{ issued int }

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
