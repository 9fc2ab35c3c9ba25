package node

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keypaird/acme"
	"keypaird/acme/accountfile"
	"keypaird/acme/dns01"
	"keypaird/acme/http01"
	"keypaird/acme/orderlog"
	"keypaird/renew"
	"keypaird/renew/fleet"
	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/engine"
	"keypaird/renew/fleet/engine/memory"
	"keypaird/renew/fleet/envelope"
	"keypaird/renew/fleet/wave"
	"keypaird/renew/keypair"
	"keypaird/renew/keypair/pairtest"
	"keypaird/renew/problem"
	"keypaird/renew/record"
	"keypaird/renew/status/nodes"
	"keypaird/renew/testutil"
)

const (
	domain = "example.org"
	ca     = "pebble"
)

// A machines is an engine, and the keys of the nodes that meet in it.
type machines struct {
	t       *testing.T
	server  *memory.Server
	keys    map[string]*envelope.Identity
	members envelope.Members
	rules   wave.Rules
}

func newMachines(t *testing.T, names ...string) *machines {
	time.Sleep(time.Until(time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC))) // documents are not older
	w := &machines{t: t, server: memory.New(), keys: map[string]*envelope.Identity{}, members: envelope.Members{}, rules: wave.Rules{Waves: []string{"100%"}}}
	for _, name := range names {
		key, err := envelope.Generate()
		ok(t, err)
		w.keys[name], w.members[name] = key, key.Publics()
	}
	return w
}

func ok(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A testMachine is a node with files of its own, and its connection to the engine.
type testMachine struct {
	*Node
	t      *testing.T
	dir    string
	client *memory.Client
	stop   func()
	remove func(context.Context, dns01.Presented) error
}

// start runs a node with the files in dir.
func (w *machines) start(name, dir string, order ...string) *testMachine {
	w.t.Helper()
	store, err := keypair.Open(dir)
	ok(w.t, err)
	m := &testMachine{t: w.t, dir: dir, client: w.server.Client(name)}
	nodes := slices.Sorted(maps.Keys(w.members))
	m.Node = newNode(Options{
		Fleet: fleet.Options{
			Engine: m.client, Identity: w.keys[name], Members: w.members, Node: name, Order: order,
			Audience: func(string) []string { return nodes }, Rules: w.rules,
			Boot: document.NewID(), Version: "v1.0.0", Log: slog.New(slog.DiscardHandler),
		},
		ID:    func(context.Context) (string, error) { return strings.Repeat("0123456789abcdef", 2), nil },
		Store: store, CAs: map[string][]string{domain: {ca}}, Log: slog.New(slog.NewTextHandler(w.t.Output(), nil)),
		Files: Files{Order: m.order, Account: m.account, OrderLog: m.orderLog},
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.Run(ctx, nil)
	}()
	m.stop = func() { cancel(); <-done; store.Close() }
	w.t.Cleanup(m.stop)
	synctest.Wait()
	return m
}

func (m *testMachine) order(target, ca string) acme.OrderStore {
	return acme.OrderDir(filepath.Join(m.dir, "certs", target, "pending", ca))
}

func (m *testMachine) account(ca string) accountfile.Files {
	return accountfile.Files{CA: ca, Store: accountfile.Dir(filepath.Join(m.dir, "accounts", ca))}
}

func (m *testMachine) orderLog(ca string) *orderlog.Log {
	return orderlog.New(orderlog.Options{CA: ca, Dir: filepath.Join(m.dir, "accounts", ca)})
}

// begin begins a pass and reports whether the testMachine may order in it.
func (m *testMachine) begin() error {
	m.Begin(m.t.Context(), m.remove)
	_, err := m.seat()
	return err
}

// save saves an account, an order and what was ordered, as package acme does.
func (m *testMachine) save(key string) error {
	a := m.Account(ca, m.account(ca).Store)
	o := m.Orders(domain, ca, m.order(domain, ca))
	l := m.OrderLog(ca, m.orderLog(ca))
	r := orderlog.Request{Names: []string{domain}, Target: domain, Order: "https://ca.test/order/1"}
	return errors.Join(
		a.Save("key.pem", []byte(key)), a.Save("account.json", []byte("{}")),
		o.Save([]byte(`{"url":""}`), false), l.Reserve(m.t.Context(), orderlog.NewOrder, r),
		o.Save([]byte(`{"url":"https://ca.test/order/1","key":"`+key+`"}`), true), l.Reserve(m.t.Context(), orderlog.Finalize, r),
	)
}

// The node that sits next goes on with the account, the order and the order log of the one
// that was killed, which can no longer write anything.
func TestSitsNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMachines(t, "a", "b")
		a, b := w.start("a", t.TempDir(), "a", "b"), w.start("b", t.TempDir(), "a", "b")
		time.Sleep(5 * time.Second)
		ok(t, a.begin(), a.Permit(), a.save("secret"))
		if err := b.begin(); err == nil || b.Permit() == nil {
			t.Fatalf("two nodes may order: %v", err)
		}
		if err := b.save("other"); !errors.Is(err, acme.ErrNotPermitted) {
			t.Fatalf("a node that does not sit has written: %v", err)
		}
		ok(t, b.account(ca).Store.Remove("key.pem"), b.account(ca).Store.Remove("account.json"))
		a.client.Kill()
		time.Sleep(40 * time.Second)
		if err := a.Permit(); err == nil {
			t.Error("a node whose lease is not confirmed may send requests")
		}
		ok(t, b.begin(), b.Permit())
		key, err := b.account(ca).Store.Load("key.pem")
		order, oerr := b.order(domain, ca).Load()
		lines, lerr := b.orderLog(ca).Lines(domain)
		ok(t, err, oerr, lerr)
		if string(key) != "secret" || !strings.Contains(string(order), "order/1") || len(lines) != 1 {
			t.Errorf("key %q, order %s, log %q", key, order, lines)
		}
		if all, err := b.orderLog(ca).Lines(); err != nil || len(all) != 2 {
			t.Errorf("the log of all is %q, %v", all, err)
		}
		if !b.OrderLog(ca, b.orderLog(ca)).Finalized("https://ca.test/order/1") {
			t.Error("a finalized order is not known to be")
		}
		if err := a.save("late"); !errors.Is(err, acme.ErrNotPermitted) {
			t.Errorf("a node that sat before has written: %v", err)
		}
	})
}

// No byte of a key is in the engine.
func TestSealed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMachines(t, "a")
		a := w.start("a", t.TempDir(), "a")
		time.Sleep(5 * time.Second)
		ok(t, a.begin(), a.save("this-is-secret"))
		all, err := a.client.Read(t.Context(), "")
		ok(t, err)
		if len(all.Entries) < 6 {
			t.Errorf("the engine has only %d keys", len(all.Entries))
		}
		for _, e := range all.Entries {
			if strings.Contains(string(e.Value), "this-is-secret") {
				t.Errorf("%s has the key in it: %s", e.Key, e.Value)
			}
		}
	})
}

// An account is never replaced without a word: one that a new orderer cannot open keeps it
// from ordering, until it is sealed anew, and one of its own is kept aside.
func TestAccountOfTheFleet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMachines(t, "a", "b")
		dirA, dirB := t.TempDir(), t.TempDir()
		a := w.start("a", dirA, "a")
		time.Sleep(5 * time.Second)
		ok(t, a.begin(), a.save("of the fleet"))
		a.stop()
		b := w.start("b", dirB, "a", "b")
		ok(t, b.account(ca).Store.Save("key.pem", []byte("own")), b.account(ca).Store.Save("account.json", []byte("{}")))
		time.Sleep(5 * time.Second)
		if err := b.begin(); err == nil || !strings.Contains(err.Error(), "account of the fleet") {
			t.Fatalf("a node orders without the fleet's account: %v", err)
		}
		if key, err := b.account(ca).Store.Load("key.pem"); string(key) != "own" {
			t.Fatalf("its account is %q, %v", key, err)
		}
		b.End()
		b.stop()
		a = w.start("a", dirA, "a", "b")
		time.Sleep(5 * time.Second)
		ok(t, a.begin())
		a.stop()
		b = w.start("b", dirB, "a", "b")
		time.Sleep(5 * time.Second)
		ok(t, b.begin())
		key, err := b.account(ca).Store.Load("key.pem")
		aside, gerr := filepath.Glob(filepath.Join(dirB, "accounts", ca, "key.pem.old-*"))
		ok(t, err, gerr)
		if string(key) != "of the fleet" || len(aside) != 1 {
			t.Errorf("its account is %q, and aside are %q", key, aside)
		}
	})
}

// A node whose clock was never set says so, and does not ask the engine again and again.
func TestClockNeverSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // in the year 2000
		w := &machines{t: t, server: memory.New(), keys: map[string]*envelope.Identity{}, members: envelope.Members{}}
		key, err := envelope.Generate()
		ok(t, err)
		w.keys["a"], w.members["a"] = key, key.Publics()
		calls := 0
		w.server.Set(memory.Faults{Fail: func(memory.Call) error { calls++; return nil }})
		a := w.start("a", t.TempDir(), "a")
		time.Sleep(10 * time.Minute)
		if err := a.Err(); err == nil || !strings.Contains(err.Error(), "the clock of this machine is wrong") {
			t.Errorf("error = %v", err)
		}
		if calls > 1000 {
			t.Errorf("%d calls of the engine in ten minutes", calls)
		}
	})
}

// What the engine lost, the next node in the seat writes back.
func TestEmptiedEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMachines(t, "a")
		dir := t.TempDir()
		empty := w.server.Backup()
		a := w.start("a", dir, "a")
		time.Sleep(5 * time.Second)
		ok(t, a.begin(), a.save("secret"))
		a.End()
		a.stop()
		w.server.Restore(empty)
		a = w.start("a", dir, "a")
		time.Sleep(5 * time.Second)
		ok(t, a.begin())
		for _, key := range []string{document.AccountKey(ca), document.OrderKey(domain, ca)} {
			if s, err := a.client.Read(t.Context(), key); err != nil || len(s.Entries) != 1 {
				t.Errorf("%s was not written back: %v", key, err)
			}
		}
	})
}

// Without the engine a node orders only what ends soon, and the first choice before the
// second.
func TestLastResort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMachines(t, "a", "b")
		a, b := w.start("a", t.TempDir(), "a", "b"), w.start("b", t.TempDir(), "a", "b")
		time.Sleep(5 * time.Second)
		w.server.Set(memory.Faults{Unreachable: true})
		time.Sleep(2 * time.Minute)
		now := time.Now()
		left := func(percent int) renew.State {
			p, err := pairtest.Issue([]string{domain}, now.Add(-time.Duration(100-percent)*time.Hour), 100*time.Hour)
			ok(t, err)
			return renew.State{Leaf: p.Leaf, InUse: p.Leaf, Fingerprint: p.Fingerprint(), Live: true}
		}
		for _, m := range []*testMachine{a, b} {
			if err := m.begin(); err == nil {
				t.Fatal("a node sits without an engine")
			}
		}
		for _, tt := range []struct {
			m       *testMachine
			percent int
			orders  bool
		}{{a, 12, false}, {a, 9, true}, {b, 9, false}, {b, 8, true}} {
			hold := tt.m.Sharing(domain).OrderHold(now, left(tt.percent), renew.Scheduled)
			if orders := hold.Err == nil; orders != tt.orders {
				t.Errorf("with %d %% left %s orders: %v (%v)", tt.percent, tt.m.Name(), orders, hold.Err)
			}
		}
		if hold := a.Sharing(domain).OrderHold(now, renew.State{}, renew.Scheduled); hold.Err == nil {
			t.Error("a certificate that never was is ordered without the engine")
		}
		ok(t, a.Permit(), a.save("alone"))
		b.stop() // else it may find the engine sooner
		w.server.Set(memory.Faults{})
		time.Sleep(2 * time.Minute)
		a.End()
		ok(t, a.begin())
		if s, err := a.client.Read(t.Context(), document.OrderKey(domain, ca)); err != nil || len(s.Entries) != 1 {
			t.Errorf("an order that was placed alone is not in the engine: %v", err)
		}
	})
}

// So it does if the engine does nothing that is written to it, while the node in the seat
// stays there.
func TestLastResortReadOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMachines(t, "a", "b")
		a := w.start("a", t.TempDir(), "a", "b")
		w.start("b", t.TempDir(), "a", "b")
		time.Sleep(5 * time.Second)
		ok(t, a.begin())
		w.server.Set(memory.Faults{ReadOnly: true})
		if err := a.save("refused"); err == nil {
			t.Error("saved in an engine that takes nothing")
		}
		a.End()
		now := time.Now()
		p, err := pairtest.Issue([]string{domain}, now.Add(-91*time.Hour), 100*time.Hour)
		ok(t, err)
		st := renew.State{Leaf: p.Leaf, InUse: p.Leaf, Fingerprint: p.Fingerprint(), Live: true}
		if err := a.begin(); !errors.Is(err, memory.ErrReadOnly) {
			t.Errorf("begin = %v", err)
		}
		ok(t, a.Sharing(domain).OrderHold(now, st, renew.Scheduled).Err, a.Permit(), a.save("alone"))
		a.End()
		w.server.Set(memory.Faults{})
		ok(t, a.begin())
		e, err := engine.ReadKey(t.Context(), a.client, document.OrderKey(domain, ca))
		ok(t, err)
		if _, secret, found := opened(a.Node, e, document.Parse[document.Order]); !found || !strings.Contains(string(secret), "alone") {
			t.Errorf("an order that was placed alone is not in the engine: %s", secret)
		}
	})
}

// So it does if the engine refuses some of the keys that ordering needs: the node leaves the
// seat, and says why.
func TestLastResortWithoutRight(t *testing.T) {
	for _, kind := range []document.Kind{document.KindOrder, document.KindAccount, document.KindOrderLog, document.KindCounts} {
		synctest.Test(t, func(t *testing.T) {
			w := newMachines(t, "a", "b")
			a := w.start("a", t.TempDir(), "a", "b")
			w.start("b", t.TempDir(), "a", "b")
			time.Sleep(5 * time.Second)
			ok(t, a.begin())
			w.server.Set(memory.Faults{Fail: func(c memory.Call) error {
				if slices.ContainsFunc(c.Ops, func(o engine.Op) bool { return strings.HasPrefix(o.Key, kind.Prefix()) }) {
					return problem.New("the engine refuses "+kind.Prefix(), "grant it")
				}
				return nil
			}})
			if err := a.save("refused"); err == nil {
				t.Errorf("%s: saved", kind)
			}
			a.End()
			time.Sleep(5 * time.Minute)
			now := time.Now()
			held := func(left time.Duration) error {
				p, err := pairtest.Issue([]string{domain}, now.Add(left-100*time.Hour), 100*time.Hour)
				ok(t, err)
				st := renew.State{Leaf: p.Leaf, InUse: p.Leaf, Fingerprint: p.Fingerprint(), Live: true}
				return a.Sharing(domain).OrderHold(now, st, renew.Scheduled).Err
			}
			if err := a.begin(); err == nil || problem.Remedy(err) != "grant it" {
				t.Errorf("%s: begin = %v (%s)", kind, err, problem.Remedy(err))
			}
			if err := held(11 * time.Hour); err == nil || problem.Remedy(err) != "grant it" {
				t.Errorf("%s: ordered without need: %v", kind, err)
			}
			ok(t, held(9*time.Hour), a.Permit(), a.save("alone"))
			a.End()
			w.server.Set(memory.Faults{})
			time.Sleep(time.Minute)
			if s := a.Fleet().Seat(); s.Node == "" || s.Err != nil {
				t.Errorf("%s, granted: Seat = %+v", kind, s)
			}
		})
	}
}

// A node that cannot take over what the fleet knows leaves the seat to another one, if there
// is one. If there is none, the last resort holds for it.
func TestCannotPull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMachines(t, "a", "b")
		a := w.start("a", t.TempDir(), "a")
		time.Sleep(5 * time.Second)
		op, err := a.Fleet().Op(document.AccountKey(ca), struct{}{}, []byte(`{"parts":{"key.pem":"AA=="}}`), []string{"b"})
		ok(t, err)
		_, err = a.client.Commit(t.Context(), nil, []engine.Op{op})
		ok(t, err)
		a.stop()
		a = w.start("a", t.TempDir(), "a", "b")
		time.Sleep(40 * time.Second)
		if err := a.begin(); err == nil || !strings.Contains(problem.Remedy(err), "seals the account anew") {
			t.Fatalf("begin = %v", err)
		}
		p, err := pairtest.Issue([]string{domain}, time.Now().Add(-91*time.Hour), 100*time.Hour)
		ok(t, err)
		st := renew.State{Leaf: p.Leaf, InUse: p.Leaf, Fingerprint: p.Fingerprint(), Live: true}
		ok(t, a.Sharing(domain).OrderHold(time.Now(), st, renew.Scheduled).Err, a.Permit())
		a.End()
		b := w.start("b", t.TempDir(), "a", "b")
		time.Sleep(5 * time.Second)
		_ = a.begin()
		a.End()
		time.Sleep(20 * time.Second)
		ok(t, b.begin())
		if s := a.Fleet().Seat(); !strings.Contains(s.Waits, "reading what the fleet knows: the account of the fleet") {
			t.Errorf("Seat = %+v", s)
		}
	})
}

// A pair goes from the node in the seat to another, with what was recorded.
func TestPublishAndTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMachines(t, "a", "b")
		a, b := w.start("a", t.TempDir(), "a", "b"), w.start("b", t.TempDir(), "a", "b")
		time.Sleep(5 * time.Second)
		ok(t, a.begin())
		_ = b.begin()
		p, err := pairtest.Issue([]string{domain}, time.Now(), time.Hour)
		ok(t, err)
		_, err = a.o.Store.Add(domain, p)
		ok(t, err)
		st := renew.State{Leaf: p.Leaf, Fingerprint: p.Fingerprint(), Record: record.Record{Ordering: record.Ordering{CA: ca, Fingerprint: p.Fingerprint()}}}
		if !a.Sharing(domain).Lacks(st) || b.Sharing(domain).Lacks(st) {
			t.Error("the node in the seat, and it alone, has to publish its pair")
		}
		serial, err := a.Sharing(domain).Publish(t.Context(), st, p)
		ok(t, err)
		time.Sleep(time.Second)
		taken, err := b.Sharing(domain).Take(t.Context(), renew.State{})
		ok(t, err)
		if taken == nil || taken.Pair.Fingerprint() != p.Fingerprint() || taken.Serial != serial || taken.Ordering.CA != ca {
			t.Fatalf("taken %+v, serial %d", taken, serial)
		}
		st.Record.Fleet = record.Fleet{Serial: serial, Fingerprint: p.Fingerprint()}
		if taken, err := a.Sharing(domain).Take(t.Context(), st); taken != nil || err != nil {
			t.Errorf("the node that published it took %+v, %v", taken, err)
		}
	})
}

// A token is served by all nodes, whether they have followed it or not, and only if a node
// that may order has signed it.
func TestTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMachines(t, "a", "b", "edge")
		a, edge := w.start("a", t.TempDir(), "a"), w.start("edge", t.TempDir(), "a")
		time.Sleep(5 * time.Second)
		ok(t, a.begin())
		ctx, cancel := context.WithCancel(t.Context())
		solver := &http01.Solver{Dir: filepath.Join(edge.dir, "http-01"), Log: slog.New(slog.DiscardHandler)}
		done := make(chan struct{})
		go func() { defer close(done); edge.ServeTokens(ctx, solver) }()
		synctest.Wait()
		token := strings.Repeat("t", 43)
		auth := token + "." + strings.Repeat("k", 43)
		inner := solverFunc(func(ctx context.Context, c acme.Challenge, validate func(context.Context) error) error {
			return validate(ctx)
		})
		err := a.Solver(inner).Solve(ctx, acme.Challenge{Type: acme.HTTP01, Token: token, KeyAuth: auth}, func(context.Context) error {
			if got, err := solver.Fetch(token); got != auth || err != nil {
				t.Errorf("fetched %q, %v", got, err)
			}
			time.Sleep(time.Second)
			if got, err := solver.Token(token); got != auth || err != nil {
				t.Errorf("served %q, %v", got, err)
			}
			return nil
		})
		ok(t, err)
		time.Sleep(5 * time.Second)
		if got, err := solver.Token(token); err == nil {
			t.Errorf("still served %q", got)
		}
		a.End()
		tested := strings.Repeat("u", 43)
		withdraw, err := a.ShareToken(ctx, acme.Challenge{Type: acme.HTTP01, Token: tested, KeyAuth: tested + "." + strings.Repeat("k", 43)})
		ok(t, err)
		if got, err := solver.Fetch(tested); got == "" || err != nil {
			t.Errorf("the token of a test is not served: %v", err)
		}
		withdraw()
		if got, err := solver.Fetch(tested); err == nil {
			t.Errorf("the token of a test is still served: %q", got)
		}
		forged := w.start("b", t.TempDir(), "b") // by its own file it may order
		time.Sleep(40 * time.Second)
		op, err := forged.op(document.TokenKey(token), document.Token{KeyAuthorization: auth}, nil)
		ok(t, err)
		_, err = forged.client.Commit(ctx, nil, []engine.Op{op})
		ok(t, err)
		time.Sleep(5 * time.Second)
		if got, err := solver.Token(token); err == nil {
			t.Errorf("a token of a node that may not order is served: %q", got)
		}
		cancel()
		<-done
	})
}

// A node that may not read tokens says so, once: CAs that ask it get none.
func TestTokensRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMachines(t, "a", "edge")
		w.start("a", t.TempDir(), "a")
		edge := w.start("edge", t.TempDir(), "a")
		log := new(testutil.Log)
		edge.o.Log = slog.New(slog.NewTextHandler(log, nil))
		edge.client.Set(memory.Faults{Fail: func(c memory.Call) error {
			if c.Method == "Read" && c.Prefix == document.KindToken.Prefix() {
				return problem.New("the engine refuses tokens/", "grant it")
			}
			return nil
		}})
		time.Sleep(5 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		edge.ServeTokens(ctx, &http01.Solver{Dir: filepath.Join(edge.dir, "http-01"), Log: edge.o.Log})
		if n := strings.Count(log.String(), "the engine refuses tokens/"); n != 1 || !strings.Contains(log.String(), "grant it") {
			t.Errorf("told %d times: %s", n, log)
		}
	})
}

type solverFunc func(ctx context.Context, c acme.Challenge, validate func(context.Context) error) error

func (f solverFunc) Solve(ctx context.Context, c acme.Challenge, validate func(context.Context) error) error {
	return f(ctx, c, validate)
}

// Run takes part until ctx ends, over an engine that runs by itself.
func (n *Node) Run(ctx context.Context, changed func(targets []string)) {
	l := &link{leave: func() {}}
	n.follow(ctx, l, changed)
	l.leave()
}

// A machine that cannot take part deploys as before, orders nothing, and says why, with a
// remedy.
func TestCannotTakePart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMachines(t, "a")
		a := w.start("a", t.TempDir(), "a")
		a.stop()
		n := newNode(a.o)
		n.o.ID = func(context.Context) (string, error) {
			return "", problem.New("/x/ holds another fleet", "choose another prefix")
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); n.Run(ctx, nil) }()
		n.Begin(t.Context(), nil)
		p, err := pairtest.Issue([]string{domain}, time.Now(), time.Hour)
		ok(t, err)
		st := renew.State{Leaf: p.Leaf, InUse: p.Leaf, Fingerprint: p.Fingerprint()}
		if hold := n.Sharing(domain).OrderHold(time.Now(), st, renew.Force); hold.Err == nil || !strings.Contains(hold.Err.Error(), "another fleet") || problem.Remedy(hold.Err) != "choose another prefix" {
			t.Errorf("orders: %v", hold.Err)
		}
		if hold := n.Sharing(domain).DeployHold(time.Now(), st); hold.Err != nil {
			t.Errorf("does not deploy: %v", hold.Err)
		}
		if taken, err := n.Sharing(domain).Take(t.Context(), st); taken != nil || err != nil {
			t.Errorf("taken %v, %v", taken, err)
		}
		if d := n.Describe(); d.Error != "/x/ holds another fleet" || d.Remedy != "choose another prefix" || d.Nodes == nil || d.Targets == nil {
			t.Errorf("described as %+v", d)
		}
		cancel()
		<-done
	})
}

// With issue -alone a node orders without the engine, also a first certificate, and keeps all
// of it in files.
func TestAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMachines(t, "a", "b")
		w.server.Set(memory.Faults{Unreachable: true})
		a := w.start("a", t.TempDir(), "a", "b")
		a.stop()
		a.Node = newNode(a.o)
		a.o.Alone, a.o.Fleet.Observer = true, true
		began := time.Now()
		if err := a.begin(); err == nil || time.Since(began) > 0 {
			t.Errorf("it sits: %v, or waits for the engine: %v", err, time.Since(began))
		}
		ok(t, a.Permit(), a.save("alone"))
		removed, err := a.NoteTXT(t.Context(), presentedTXT("x.example"))
		ok(t, err)
		removed()
		s := a.Sharing(domain)
		if hold := s.OrderHold(time.Now(), renew.State{}, renew.Manual); hold.Err != nil {
			t.Errorf("orders nothing: %v", hold.Err)
		}
		p, err := pairtest.Issue([]string{domain}, time.Now(), time.Hour)
		ok(t, err)
		if _, err := s.Publish(t.Context(), renew.State{}, p); !errors.Is(err, errAlone) {
			t.Errorf("published: %v", err)
		}
		a.End()
		if a.Permit() == nil {
			t.Error("requests may be sent after the pass")
		}
	})
}

// A node that may order knows all nodes; another one knows only itself.
func TestDescribe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMachines(t, "a", "edge", "gone")
		a, edge := w.start("a", t.TempDir(), "a"), w.start("edge", t.TempDir(), "a")
		time.Sleep(5 * time.Second)
		ok(t, a.begin())
		p, err := pairtest.Issue([]string{domain}, time.Now(), time.Hour)
		ok(t, err)
		_, err = a.o.Store.Add(domain, p)
		ok(t, err)
		serial, err := a.Sharing(domain).Publish(t.Context(), renew.State{Leaf: p.Leaf, Fingerprint: p.Fingerprint()}, p)
		ok(t, err)
		time.Sleep(3 * time.Minute)
		a.Fleet().Report(domain, serial, nil)
		edge.Fleet().Report(domain, serial, &document.Exception{Failures: 2, Err: "reload failed"})
		time.Sleep(5 * time.Second)
		d := a.Describe()
		if d.Seat != "a" || d.Partial || d.Error != "" || len(d.Nodes) != 3 || len(d.Targets) != 1 {
			t.Fatalf("%+v", d)
		}
		for i, want := range []nodes.Node{{Name: "a", Alive: true, Version: "v1.0.0", Orders: true, Seated: true}, {Name: "edge", Alive: true, Version: "v1.0.0", Behind: 1}, {Name: "gone", Behind: 1}} {
			got := d.Nodes[i]
			if want.Name == "gone" && got.Away < 180 {
				t.Errorf("%+v", got)
			}
			if got.Away = 0; got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
		}
		r := d.Targets[0]
		if r.Serial != serial || r.Count() != "1/3" || r.Missing[0] != (nodes.Missing{Node: "edge", Allowed: true, Failures: 2, Error: "reload failed"}) {
			t.Errorf("%+v", r)
		}
		a.End() // the status is read between two passes
		if hold := a.Sharing(domain).OrderHold(time.Now(), renew.State{}, renew.Scheduled); hold.Err != nil {
			t.Errorf("the node that sits would not order: %v", hold.Err)
		}
		if hold := edge.Sharing(domain).OrderHold(time.Now(), renew.State{}, renew.Scheduled); hold.Err == nil || !strings.Contains(hold.Err.Error(), "node a orders") {
			t.Errorf("a node that may not order: %v", hold.Err)
		}
		if d := edge.Describe(); !d.Partial || d.Seat != "a" || len(d.Nodes) != 1 || d.Nodes[0].Name != "edge" || !d.Nodes[0].Alive || d.Nodes[0].Behind != 1 || d.Targets[0].Count() != "0/1" {
			t.Errorf("%+v", d)
		}
	})
}

// While the fleet's id becomes known, there is a term or a reason why there is none.
func TestFleetFoundMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMachines(t, "a")
		a := w.start("a", t.TempDir(), "a")
		time.Sleep(5 * time.Second)
		ok(t, a.begin(), a.Err())
		known, ended, stopped := a.Fleet(), make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for {
				a.fleet.Store(nil)
				a.fleet.Store(known)
				select {
				case <-ended:
					return
				default:
				}
			}
		}()
		defer func() { close(ended); <-stopped }()
		for range 2_000_000 {
			if term, err := a.sits(); term == nil && err == nil {
				t.Fatal("this node does not sit, for no reason")
			}
			if a.idError() == nil {
				t.Fatal("no fleet was known, for no reason")
			}
		}
	})
}
