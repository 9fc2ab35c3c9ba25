package fleet

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/engine"
	"keypaird/renew/fleet/engine/memory"
	"keypaird/renew/fleet/envelope"
	"keypaird/renew/keypair"
	"keypaird/renew/keypair/pairtest"
	"keypaird/renew/problem"
)

// recordOf returns the operation that writes a record with a next key, which nodes could open.
func recordOf(n *testNode, ordering string, nodes ...string) []engine.Op {
	op, err := n.Op("records/x.example", document.Record{Ordering: json.RawMessage(ordering), Sealed: document.Sealed{Nodes: nodes}}, []byte("next"), n.Order)
	if err != nil {
		panic(err)
	}
	return []engine.Op{op}
}

// A release is one commit: pair, record and release are there together, the order is gone,
// and one version before is kept.
func TestPublishOnce(t *testing.T) {
	inFleet(t, "a b", func(t *testing.T, w *world) {
		a := w.start("a")
		w.start("b")
		w.takenBy("a")
		time.Sleep(time.Second)
		term, _ := a.Term()
		order, _ := a.Op(document.OrderKey("x.example", "ca"), simOrder{Stage: "finalizing"}, []byte("key"), a.Order)
		if err := term.Commit(t.Context(), order); err != nil {
			t.Fatal(err)
		}
		before := w.server.Revision()
		p := Publication{Target: "x.example", Pair: issuePair(t, "x.example"), CA: "ca", More: recordOf(a, `{"ca":"ca"}`, "a")}
		if serial, err := a.Publish(t.Context(), term, p); serial != 1 || err != nil || w.server.Revision() != before+1 {
			t.Fatal(serial, err, w.server.Revision()-before)
		}
		want := []string{"live/x.example", "pairs/x.example/v000001", "records/x.example"}
		if got := slices.Concat(w.list("live/"), w.list("orders/"), w.list("pairs/"), w.list("records/")); !slices.Equal(got, want) {
			t.Errorf("keys %q", got)
		}
		record, secret, found, err := Fetch(t.Context(), a.Fleet, "records/x.example", a.Order, document.Parse[document.Record])
		if string(record.Ordering) != `{"ca":"ca"}` || string(secret) != "next" || !found || err != nil {
			t.Errorf("record %s %q %v", record.Ordering, secret, err)
		}
		// The same again, since the process ended before it could note the serial.
		if serial, err := a.Publish(t.Context(), term, p); serial != 1 || err != nil {
			t.Errorf("published again with %d, %v", serial, err)
		}
		for want := uint64(2); want <= 5; want++ {
			if serial := w.publish(a, "x.example"); serial != want {
				t.Errorf("serial %d, want %d", serial, want)
			}
		}
		if got := w.list("pairs/"); !slices.Equal(got, []string{"pairs/x.example/v000004", "pairs/x.example/v000005"}) {
			t.Errorf("pairs %q", got)
		}
		if serial, err := a.Publish(t.Context(), term, Publication{Target: "x.example", Pair: issuePair(t, "x.example"), Serial: 99, Urgent: true}); serial != 100 || err != nil {
			t.Errorf("serial %d, %v", serial, err)
		}
		if r, _ := a.Release("x.example"); !r.All {
			t.Errorf("urgent: %+v", r)
		}
		if strings.Contains(string(w.read("pairs/x.example/v000100")), "PRIVATE") {
			t.Error("the key can be read")
		}

		term.StandUp("asked to", "", time.Minute)
		_, err = a.Publish(t.Context(), term, p)
		if !errors.Is(err, ErrLost) {
			t.Errorf("published after the term: %v", err)
		}
	})
}

// A release whose answer is lost keeps its serial.
func TestPublishUnclear(t *testing.T) {
	inFleet(t, "a", func(t *testing.T, w *world) {
		a := w.start("a")
		w.takenBy("a")
		for serial := uint64(1); serial < 20; serial++ {
			a.client.Set(memory.Faults{Fail: memory.LoseAnswers(int(serial % 4))})
			if got := w.publish(a, "x.example"); got != serial {
				t.Fatalf("serial %d, want %d", got, serial)
			}
			if p, r, err := a.Pair(t.Context(), "x.example"); err != nil || r.Serial != serial || p == nil {
				t.Fatal(r, err)
			}
		}
	})
}

func TestRollback(t *testing.T) {
	inFleet(t, "a b c", func(t *testing.T, w *world) {
		a, b, c := w.start("a"), w.start("b"), w.start("c")
		w.takenBy("a")
		term, _ := a.Term()
		if _, err := a.Rollback(t.Context(), term, "x.example", nil); err == nil || problem.Remedy(err) == "" {
			t.Error(err)
		}
		w.publish(a, "x.example")
		if _, err := a.Rollback(t.Context(), term, "x.example", nil); err == nil || problem.Remedy(err) == "" {
			t.Error(err)
		}
		first, _ := a.Release("x.example")
		w.publish(a, "x.example")
		time.Sleep(time.Second)
		second, _ := c.Release("x.example")
		a.Report("x.example", 2, &document.Exception{Failures: 1, Err: "reload failed"})
		time.Sleep(5 * time.Second)
		if r, _ := b.Release("x.example"); r.Held == "" || r.All {
			t.Errorf("not held: %+v", r)
		}
		if r, err := a.Rollback(t.Context(), term, "x.example", nil); err != nil || r.Serial != 3 || r.Fingerprint != first.Fingerprint || !r.All {
			t.Errorf("Rollback = %+v, %v", r, err)
		}
		time.Sleep(time.Second)
		if p, r, err := c.Pair(t.Context(), "x.example"); err != nil || r.Serial != 3 || p.Fingerprint() != first.Fingerprint {
			t.Errorf("%+v, %v", r, err)
		}
		if r, err := a.Rollback(t.Context(), term, "x.example", nil); err != nil || r.Fingerprint != second.Fingerprint {
			t.Errorf("back again = %+v, %v", r, err)
		}
		w.publish(a, "x.example")
		time.Sleep(time.Second)
		if _, _, err := b.Pair(t.Context(), "x.example"); err != nil {
			t.Error(err)
		}
	})
}

// It is known which nodes could open a key, also if the pair is renewed with the same one, or
// has that of the record; older pairs with a key of a node are forgotten.
func TestHad(t *testing.T) {
	inFleet(t, "a b c", func(t *testing.T, w *world) {
		only := func(o *Options) { o.Audience = func(string) []string { return nil } }
		w.order = []string{"a", "c"}
		a := w.start("a", only)
		w.takenBy("a")
		first := issuePair(t, "x.example")
		publish := func(p *keypair.Pair, had []string, more ...engine.Op) {
			t.Helper()
			term, err := a.Term()
			if err == nil {
				_, err = a.Publish(t.Context(), term, Publication{Target: "x.example", Pair: p, Had: had, More: more})
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		had := func(node string, want bool, next string) {
			t.Helper()
			if got, key, err := a.Had(t.Context(), "x.example", node); got != want || string(key) != next || err != nil {
				t.Errorf("%s had a key: %t, %q, %v; want %t, %q", node, got, key, err, want, next)
			}
		}
		publish(first, nil)
		had("c", true, "")
		a.end()
		w.order = []string{"a"}
		delete(w.members, "c")
		a = w.start("a", only)
		w.takenBy("a")
		key, err := keypair.ParseKey(first.Key())
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			p, err := pairtest.IssueFor(key, []string{"x.example"}, time.Now(), 90*day)
			if err != nil {
				t.Fatal(err)
			}
			publish(p, nil)
		}
		had("c", true, "")
		had("b", false, "")
		publish(issuePair(t, "x.example"), nil)
		had("c", false, "")
		publish(issuePair(t, "x.example"), []string{"b"})
		had("b", true, "")
		publish(issuePair(t, "x.example"), nil, recordOf(a, "{}", "a", "b")...)
		had("b", true, "next")
		had("c", false, "")
		publish(issuePair(t, "x.example"), nil, recordOf(a, "{}", "a")...)
		had("b", false, "")
		order, _ := a.Op("orders/x.example/ca", document.Order{Sealed: document.Sealed{Nodes: []string{"a", "b"}}}, []byte("order"), a.Order)
		other, _ := a.Op("orders/y.example/ca", document.Order{Sealed: document.Sealed{Nodes: []string{"a", "c"}}}, []byte("order"), a.Order)
		publish(issuePair(t, "x.example"), []string{"b"}, order, other)
		publish(issuePair(t, "x.example"), nil)
		had("b", true, "")
		had("c", false, "")
		term, _ := a.Term()
		for node, left := range map[string]int{"c": 2, "b": 1} {
			if err := a.Forget(t.Context(), term, "x.example", node); err != nil {
				t.Fatal(err)
			}
			if got := w.list("pairs/x.example/"); node == "b" && len(got) != left {
				t.Errorf("pairs after b was forgotten: %q", got)
			}
		}
		if _, _, err := a.Pair(t.Context(), "x.example"); err != nil {
			t.Error(err)
		}
	})
}

func TestHold(t *testing.T) {
	inFleet(t, "a b c", func(t *testing.T, w *world) {
		a, b, c := w.start("a"), w.start("b"), w.start("c")
		w.takenBy("a")
		w.publish(a, "x.example")
		term, _ := a.Term()
		if err := a.Hold(t.Context(), term, "x.example", "not today"); err != nil {
			t.Fatal(err)
		}
		verified("x.example", 1, a, b, c)
		time.Sleep(time.Hour)
		if r, _ := c.Release("x.example"); r.All || !r.Stopped || r.Held != "not today" {
			t.Errorf("held: %+v", r)
		}
		if err := a.Go(t.Context(), term, "x.example"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if r, _ := c.Release("x.example"); !r.All || r.Stopped {
			t.Errorf("let go: %+v", r)
		}
		if err := a.Hold(t.Context(), term, "x.example", "too late"); err == nil || problem.Remedy(err) == "" {
			t.Error(err)
		}
		if err := a.Go(t.Context(), term, "y.example"); err == nil || problem.Remedy(err) == "" {
			t.Error(err)
		}
	})
}

// Waves, as the nodes see them: a canary that fails holds the others until it is fixed, or
// until another takes its place; a bake is waited for.
func TestWaves(t *testing.T) {
	inFleet(t, "a b c d e f g h", func(t *testing.T, w *world) {
		w.rules.Bake = time.Hour
		var nodes []*testNode
		for _, name := range w.names {
			nodes = append(nodes, w.start(name))
		}
		w.takenBy("a")
		named := func() string {
			time.Sleep(3 * time.Second)
			r, _ := nodes[7].Release("x.example")
			if r.All {
				return "*"
			}
			return strings.Join(r.Nodes, " ")
		}
		expect := func(what, want string) {
			t.Helper()
			if got := named(); got != want {
				t.Errorf("%s: %q, want %q", what, got, want)
			}
		}
		w.publish(nodes[0], "x.example")
		expect("published", "a")
		nodes[0].Report("x.example", 1, &document.Exception{Failures: 1, Err: "reload failed"})
		expect("canary failed", "a")
		nodes[0].Report("x.example", 1, &document.Exception{Failures: 3, Err: "reload failed"})
		expect("canary failed three times", "a b")
		verified("x.example", 1, nodes[1])
		expect("the next verified", "a b")
		time.Sleep(59 * time.Minute)
		expect("half baked", "a b")
		time.Sleep(time.Minute)
		expect("baked", "a b c")
		nodes[2].client.Set(memory.Faults{Unreachable: true})
		time.Sleep(time.Minute)
		expect("a node died", "a b c")
		time.Sleep(3 * time.Minute)
		expect("a node is away", "a b c d")
		verified("x.example", 1, nodes[3])
		time.Sleep(61 * time.Minute)
		expect("all", "*")
		nodes[2].client.Set(memory.Faults{})
		time.Sleep(time.Minute)
		if r, _ := nodes[2].Release("x.example"); !r.All {
			t.Errorf("after it came back: %+v", r)
		}
	})
}

// Another node in the seat goes on with the waves.
func TestWavesGoOn(t *testing.T) {
	inFleet(t, "a b c d e", func(t *testing.T, w *world) {
		w.rules.Waves = []string{"1", "2", "3", "4", "100%"}
		for _, name := range w.names {
			w.start(name)
		}
		w.takenBy("a")
		w.publish(w.nodes["a"], "x.example")
		verified("x.example", 1, w.nodes["a"])
		time.Sleep(3 * time.Second)
		w.nodes["a"].client.Kill()
		w.takenBy("b")
		for range 100 {
			for _, name := range []string{"b", "c", "d", "e"} {
				if r, _ := w.nodes[name].Release("x.example"); slices.Contains(r.Nodes, name) || r.All {
					verified("x.example", 1, w.nodes[name])
				}
			}
			time.Sleep(2 * time.Second)
		}
		if r, _ := w.nodes["e"].Release("x.example"); !r.All {
			t.Errorf("%+v", r)
		}
	})
}

// Nodes come, go and exchange their keys: pairs are sealed anew, and releases stay as they
// are.
func TestReseal(t *testing.T) {
	inFleet(t, "a b c", func(t *testing.T, w *world) {
		var audience atomic.Pointer[[]string]
		to := func(nodes ...string) { audience.Store(&nodes) }
		to("a", "b")
		with := func(o *Options) { o.Audience = func(string) []string { return *audience.Load() } }
		a := w.start("a", with)
		w.takenBy("a")
		term, _ := a.Term()
		for range 2 {
			pair, _ := pairtest.Issue([]string{"x.example"}, time.Now(), time.Hour)
			if _, err := a.Publish(t.Context(), term, Publication{Target: "x.example", Pair: pair, More: recordOf(a, "{}", "a")}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(10 * time.Second)
		live := w.read("live/x.example")
		revision := w.server.Revision()
		time.Sleep(time.Minute)
		if w.server.Revision() != revision {
			t.Error("sealed anew without need")
		}
		opens := func(node string, identity *envelope.Identity) bool {
			e, err := engine.ReadKey(t.Context(), w.server.Client("observer"), "pairs/x.example/v000002")
			if err != nil {
				t.Fatal(err)
			}
			m, err := w.members.Open(e.Value, fleetID, e.Key, w.order)
			if err != nil {
				t.Fatal(err)
			}
			_, err = identity.Unseal(m.Sealed)
			return err == nil
		}
		w.order = []string{"a"}
		restart := func() {
			a.end()
			a = w.start("a", with)
			time.Sleep(30 * time.Second)
		}
		if to("a", "b"); !opens("c", w.keys["c"]) {
			t.Error("an orderer cannot open it")
		}
		restart() // c may no longer order
		if opens("c", w.keys["c"]) || !opens("b", w.keys["b"]) {
			t.Error("not sealed anew without c")
		}
		rotated, err := w.keys["b"].Rotate()
		if err != nil {
			t.Fatal(err)
		}
		w.members["b"] = rotated.Publics()
		restart()
		if !opens("b", rotated.Newest()) || !opens("b", w.keys["b"]) {
			t.Error("not sealed to both keys of b")
		}
		w.members["b"] = rotated.Newest().Publics()
		restart()
		if !opens("b", rotated.Newest()) || opens("b", w.keys["b"]) {
			t.Error("not sealed to the new key of b alone")
		}
		if string(w.read("live/x.example")) != string(live) {
			t.Error("the release was written again")
		}
		if p, r, err := a.Pair(t.Context(), "x.example"); err != nil || p.Fingerprint() != r.Fingerprint {
			t.Error(err)
		}
		if _, secret, _, err := Fetch(t.Context(), a.Fleet, "records/x.example", a.Order, document.Parse[document.Record]); string(secret) != "next" || err != nil {
			t.Errorf("next key %q, %v", secret, err)
		}
	})
}

// A node that a reload adds to those of a deployment can open the pair within seconds, and
// the node in the seat goes on.
func TestAudienceGrows(t *testing.T) {
	inFleet(t, "a b c", func(t *testing.T, w *world) {
		w.order = []string{"a"}
		audience := []string{"b"}
		var mu sync.Mutex
		with := func(o *Options) {
			o.Audience = func(string) []string {
				mu.Lock()
				defer mu.Unlock()
				return audience
			}
		}
		a := w.start("a", with)
		w.start("b", with)
		c := w.start("c", with)
		w.takenBy("a")
		w.publish(a, "x.example")
		term, _ := a.Term()
		time.Sleep(time.Minute)
		mu.Lock()
		audience = []string{"b", "c"}
		mu.Unlock()
		for _, n := range w.nodes {
			n.Reconfigured(nil)
		}
		time.Sleep(5 * time.Second)
		if _, r, err := c.Pair(t.Context(), "x.example"); err != nil || r.Serial != 1 {
			t.Errorf("%+v, %v", r, err)
		}
		if now, err := a.Term(); now != term {
			t.Errorf("the term ended: %v", err)
		}
	})
}

// A new first choice that cannot open the pairs yet leaves the seat to one that can, though
// that one was not alive for a while.
func TestNewOrderer(t *testing.T) {
	for _, away := range []time.Duration{0, 10 * time.Second, time.Hour} {
		inFleet(t, "a b", func(t *testing.T, w *world) {
			w.order = []string{"b"}
			only := func(o *Options) { o.Audience = func(string) []string { return nil } }
			b := w.start("b", only)
			w.takenBy("b")
			w.publish(b, "x.example")
			w.order = []string{"a", "b"}
			a := w.start("a", only)
			b.end()
			time.Sleep(away)
			b = w.start("b", only)
			time.Sleep(restTime + 2*time.Minute) // a may have left the seat to the b that ended
			if !b.Seat().Mine {
				t.Errorf("away for %v: b does not sit", away)
			}
			if _, _, err := a.Pair(t.Context(), "x.example"); err != nil {
				t.Error(err)
			}
		})
	}
}

// Two orderers that cannot open a pair leave the seat to each other once, not for ever.
func TestPairOfNobody(t *testing.T) {
	inFleet(t, "a b c", func(t *testing.T, w *world) {
		w.order = []string{"c"}
		only := func(o *Options) { o.Audience = func(string) []string { return nil } }
		c := w.start("c", only)
		w.takenBy("c")
		w.publish(c, "x.example")
		c.end()
		w.order = []string{"a", "b", "c"}
		a, b := w.start("a", only), w.start("b", only)
		time.Sleep(30 * time.Second)
		terms := 0
		for last, end := (*Term)(nil), time.Now().Add(9*time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			for _, n := range []*testNode{a, b} {
				if term, err := n.Term(); err == nil && term != last {
					terms, last = terms+1, term
				}
			}
		}
		if terms != 1 {
			t.Errorf("%d terms in 9 minutes", terms)
		}
	})
}

// A node in the seat that does not know yet that the engine was restored writes no release
// over what came back: the pair of it would be missing.
func TestWidenAfterRestore(t *testing.T) {
	inFleet(t, "a b c", func(t *testing.T, w *world) {
		a := w.start("a", func(o *Options) { o.Engine = deaf{o.Engine} })
		w.start("b")
		w.start("c")
		w.takenBy("a")
		time.Sleep(11 * time.Minute)
		w.publish(a, "x.example")
		backup := w.server.Backup()
		pair := issuePair(t, "x.example")
		term, _ := a.Term()
		p := Publication{Target: "x.example", Pair: pair}
		if serial, err := a.Publish(t.Context(), term, p); serial != 2 || err != nil {
			t.Fatal(serial, err)
		}
		w.server.Restore(backup)
		verified("x.example", 2, a)
		time.Sleep(20 * time.Second)
		if r, _ := a.Release("x.example"); r.Serial != 1 {
			t.Errorf("release %+v", r)
		}
		p.Serial = 2
		if serial, err := a.Publish(t.Context(), term, p); serial != 3 || err != nil {
			t.Errorf("healed with %d, %v", serial, err)
		}
	})
}

// A pair that the engine lost, and a release that somebody else wrote, are replaced.
func TestHeal(t *testing.T) {
	inFleet(t, "a b", func(t *testing.T, w *world) {
		a := w.start("a")
		w.start("b")
		w.takenBy("a")
		time.Sleep(time.Second)
		w.publish(a, "x.example")
		time.Sleep(10 * time.Second)
		w.write("pairs/x.example/v000001", nil)
		term, _ := a.Term()
		term.StandUp("asked to", "", time.Minute)
		w.takenBy("b")
		time.Sleep(10 * time.Second)
		if r, ok := w.nodes["b"].Release("x.example"); ok {
			t.Errorf("release %+v", r)
		}
		if serial := w.publish(w.nodes["b"], "x.example"); serial != 2 {
			t.Errorf("serial %d", serial)
		}
		for _, forged := range [][]byte{[]byte("nonsense"), nil} {
			w.write("live/x.example", forged)
			time.Sleep(time.Second)
			w.publish(w.nodes["b"], "x.example")
		}
		time.Sleep(time.Second)
		if r, ok := a.Release("x.example"); !ok || r.Serial != 4 {
			t.Errorf("release %+v", r)
		}
	})
}
