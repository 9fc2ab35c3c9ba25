package node

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keypaird/acme"
	"keypaird/renew/fleet/engine/memory"
	"keypaird/renew/problem"
)

const accountJSON = `{"url":"https://ca.test/account/1"}`

// part returns a part of the account that a machine has; "": none.
func (m *testMachine) part(name string) string {
	m.t.Helper()
	data, err := m.account(ca).Store.Load(name)
	if !errors.Is(err, fs.ErrNotExist) {
		ok(m.t, err)
	}
	return string(data)
}

// has fails unless a machine has these keys of the account.
func (m *testMachine) has(key, newKey string) {
	m.t.Helper()
	if is, other := m.part("key.pem"), m.part("newkey.pem"); is != key || other != newKey {
		m.t.Errorf("%s has the key %q and the new key %q, want %q and %q", m.Name(), is, other, key, newKey)
	}
}

// register saves an account as package acme does.
func (m *testMachine) register(key string) error {
	a := m.Account(ca, m.account(ca).Store)
	return errors.Join(a.Save("key.pem", []byte(key)), a.Save("account.json", []byte(accountJSON)))
}

// rollover gives the account another key, as package acme does if the CA agrees.
func (m *testMachine) rollover(key string) error {
	a := m.Account(ca, m.account(ca).Store)
	if err := a.Save("newkey.pem", []byte(key)); err != nil {
		return err
	}
	return a.Rename("newkey.pem", "key.pem")
}

// Only the node in the seat registers an account or replaces its key: what another begins
// leaves nothing behind from which it would go on. The others have the account of the fleet
// before they sit, and after each change of its key: they may have to order alone.
func TestAccountKeyReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMachines(t, "a", "b")
		a, b := w.start("a", t.TempDir(), "a", "b"), w.start("b", t.TempDir(), "a", "b")
		time.Sleep(5 * time.Second)
		_ = b.begin()
		if err := b.register("its own"); !errors.Is(err, acme.ErrNotPermitted) {
			t.Errorf("a node that does not sit registers: %v", err)
		}
		b.has("", "")
		b.End()
		ok(t, a.begin(), a.register("one"))
		_ = b.begin()
		b.has("one", "")
		if err := b.rollover("its own"); !errors.Is(err, acme.ErrNotPermitted) {
			t.Errorf("a node that does not sit replaces the key: %v", err)
		}
		err := b.PermitAccountChange()
		if err == nil || !strings.Contains(err.Error(), "node a orders") || !strings.Contains(problem.Remedy(err), "stop keypaird on a, b") {
			t.Errorf("%v (%s)", err, problem.Remedy(err))
		}
		b.has("one", "")
		b.End()
		ok(t, a.PermitAccountChange(), a.rollover("two"))
		_ = b.begin()
		b.has("two", "one") // until the CA has said which one it knows
		b.End()
		_ = b.begin()
		b.has("two", "one")
		ok(t, b.Account(ca, b.account(ca).Store).Remove("newkey.pem")) // as package acme does then
		b.has("two", "")
	})
}

// Without the engine the key is not replaced: the fleet would go on with the old one.
func TestAccountKeyAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMachines(t, "a")
		a := w.start("a", t.TempDir(), "a")
		time.Sleep(5 * time.Second)
		ok(t, a.begin(), a.register("one"))
		a.End()
		w.server.Set(memory.Faults{Unreachable: true})
		time.Sleep(2 * time.Minute)
		if err := a.begin(); err == nil {
			t.Fatal("it sits without an engine")
		}
		if err := a.rollover("two"); err == nil || a.PermitAccountChange() == nil {
			t.Errorf("the key is replaced alone: %v", err)
		}
		a.has("one", "")
		ok(t, a.Account(ca, a.account(ca).Store).Save("account.json", []byte(accountJSON)))
	})
}

// The engine was restored from a backup that is older than the key in use. The node in the
// seat writes the key back; one that sits next, and has it, goes on with the old one only if
// the CA says that it knows that.
func TestAccountKeyAfterRestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMachines(t, "a", "b")
		a, b := w.start("a", t.TempDir(), "a", "b"), w.start("b", t.TempDir(), "a", "b")
		time.Sleep(5 * time.Second)
		ok(t, a.begin(), a.register("one"))
		backup := w.server.Backup()
		ok(t, a.rollover("two"))
		a.End()
		_ = b.begin()
		b.End()
		w.server.Restore(backup)
		time.Sleep(15 * time.Minute)
		_ = b.begin()
		b.End()
		b.has("one", "two")
		for _, m := range []*testMachine{a, b} {
			_ = m.begin()
			m.End()
		}
		a.has("two", "")
		b.has("two", "one")
		ok(t, b.account(ca).Store.Remove("newkey.pem"))
		a.stop()
		w.server.Restore(backup)
		time.Sleep(15 * time.Minute)
		for range 2 {
			ok(t, b.begin())
			b.End()
			b.has("one", "two")
		}
	})
}
