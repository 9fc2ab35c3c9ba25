package node

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keypaird/acme"
	"keypaird/acme/accountfile"
	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/engine"
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

// A brokenStore is a directory of which only the first writes are done.
type brokenStore struct {
	accountfile.Dir
	left *int
}

func (s brokenStore) write(f func() error) error {
	if *s.left--; *s.left < 0 {
		return errors.New("no space left on device")
	}
	return f()
}

func (s brokenStore) Save(part string, data []byte) error {
	return s.write(func() error { return s.Dir.Save(part, data) })
}

func (s brokenStore) Rename(part, name string) error {
	return s.write(func() error { return s.Dir.Rename(part, name) })
}

func (s brokenStore) Remove(part string) error {
	return s.write(func() error { return s.Dir.Remove(part) })
}

// keys returns all keys that a machine has of the account, also those that were set aside.
func (m *testMachine) keys() (keys []string) {
	m.t.Helper()
	files, err := filepath.Glob(filepath.Join(m.dir, "accounts", ca, "*.pem*"))
	ok(m.t, err)
	for _, file := range files {
		data, err := os.ReadFile(file)
		ok(m.t, err)
		keys = append(keys, string(data))
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// No key of this node is lost when it takes the account of the fleet, wherever that is cut off.
func TestAccountTakenInSteps(t *testing.T) {
	type parts map[string]string
	const other = `{"url":"https://ca.test/account/2"}`
	for _, tt := range []struct {
		name         string
		have, shared parts
		key, newKey  string // then
	}{
		{"the engine has an earlier key", parts{"key.pem": "two", "account.json": accountJSON}, parts{"key.pem": "one", "account.json": accountJSON}, "one", "two"},
		{"and the next one was asked for", parts{"key.pem": "two", "newkey.pem": "three", "account.json": accountJSON}, parts{"key.pem": "one", "account.json": accountJSON}, "one", "two"},
		{"the engine has another new key", parts{"key.pem": "one", "newkey.pem": "three", "account.json": accountJSON}, parts{"key.pem": "one", "newkey.pem": "two", "account.json": accountJSON}, "one", "two"},
		{"the new key is in use here", parts{"key.pem": "two", "account.json": accountJSON}, parts{"key.pem": "one", "newkey.pem": "two", "account.json": accountJSON}, "one", "two"},
		{"another account", parts{"key.pem": "mine", "newkey.pem": "next", "account.json": other}, parts{"key.pem": "one", "account.json": accountJSON}, "one", ""},
		{"registered since", parts{"key.pem": "one", "account.json": accountJSON}, parts{"key.pem": "one"}, "one", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for writes := range 12 {
				left := 100
				m := &testMachine{t: t, dir: t.TempDir()}
				files := m.account(ca)
				files.Store = brokenStore{files.Store.(accountfile.Dir), &left}
				m.Node = newNode(Options{Log: slog.New(slog.DiscardHandler)})
				shared := map[string][]byte{}
				for name, data := range tt.shared {
					shared[name] = []byte(data)
				}
				for name, data := range tt.have {
					ok(t, files.Store.Save(name, []byte(data)))
				}
				had := m.keys()
				left = writes
				err := m.takeAccount(ca, files, shared)
				if cut := err != nil; cut != (left < 0) {
					t.Fatalf("%v after %d writes", err, writes)
				}
				left = 100
				keys := m.keys()
				ok(t, m.takeAccount(ca, files, shared))
				m.has(tt.key, tt.newKey)
				if got := m.part("account.json"); got != accountJSON {
					t.Errorf("account.json is %s", got)
				}
				for _, key := range had {
					if !slices.Contains(keys, key) || !slices.Contains(m.keys(), key) {
						t.Errorf("cut off after %d writes it has the keys %q, and then %q; it had %q", writes, keys, m.keys(), had)
					}
				}
			}
		})
	}
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

// The state of the node in the seat was restored, or is gone: it takes what the engine has, and
// asks the CA for no other account. An engine that was emptied gets what the node has.
func TestAccountAfterStateRestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMachines(t, "a")
		a := w.start("a", t.TempDir(), "a")
		time.Sleep(5 * time.Second)
		ok(t, a.begin(), a.register("one"), a.rollover("two"))
		shared := func(key, newKey string) {
			t.Helper()
			parts, err := a.sharedAccount(t.Context(), ca)
			if ok(t, err); string(parts["key.pem"]) != key || string(parts["newkey.pem"]) != newKey || string(parts["account.json"]) != accountJSON {
				t.Errorf("the engine has %q, want the keys %q and %q", parts, key, newKey)
			}
		}
		files := a.account(ca).Store
		a.End()
		ok(t, files.Save("key.pem", []byte("one")))
		ok(t, a.begin())
		a.has("two", "one") // until the CA has said which one it knows
		shared("two", "one")
		ok(t, a.Account(ca, files).Remove("newkey.pem")) // as package acme does then
		shared("two", "")
		a.End()
		for _, part := range accountfile.Parts {
			ok(t, files.Remove(part))
		}
		ok(t, a.begin())
		a.has("two", "")
		shared("two", "")
		_, err := w.server.Client("c").Commit(t.Context(), nil, []engine.Op{{Key: document.AccountKey(ca)}})
		ok(t, err)
		a.End()
		ok(t, a.begin())
		a.has("two", "")
		shared("two", "")
	})
}

// The engine was restored from a backup that is older than the key in use. The node in the
// seat, and one that sits next and has that key, go on with the old one only if the CA says
// that it knows that.
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
		_ = a.begin()
		a.has("one", "two")
		ok(t, a.Account(ca, a.account(ca).Store).Rename("newkey.pem", "key.pem")) // as package acme does then
		a.End()
		_ = b.begin()
		b.End()
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
