package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/engine"
	"keypaird/renew/fleet/engine/memory"
	"keypaird/renew/problem"
	"keypaird/renew/testutil"
)

// takenBy waits until a node sits in the seat, and returns after how long.
func (w *world) takenBy(name string) time.Duration {
	w.t.Helper()
	began := time.Now()
	for time.Since(began) < 2*time.Minute {
		if n := w.nodes[name]; n.Seat().Mine {
			return time.Since(began)
		}
		time.Sleep(100 * time.Millisecond)
	}
	w.t.Fatalf("%s does not sit", name)
	return 0
}

func TestSeat(t *testing.T) {
	inFleet(t, "a b c", func(t *testing.T, w *world) {
		for _, name := range []string{"c", "b", "a"} {
			w.start(name)
		}
		w.takenBy("a")
		time.Sleep(time.Second)
		if _, err := w.nodes["b"].Term(); err == nil || !strings.Contains(err.Error(), "node a orders") || problem.Remedy(err) == "" {
			t.Errorf("Term = %v", err)
		}
		a := w.nodes["a"]
		a.end() // as the service manager ends it
		if d := w.takenBy("b"); d > time.Second/2 {
			t.Errorf("taken after %v", d)
		}
		w.nodes["b"].client.Kill()
		if d := w.takenBy("c"); d < 28*time.Second || d > 35*time.Second {
			t.Errorf("taken %v after the node before was killed", d)
		}
		if s := w.nodes["c"].Seat(); s.Node != "c" || !s.Mine || s.Err != nil {
			t.Errorf("Seat = %+v", s)
		}
		w.start("a") // waits: c sits
		time.Sleep(time.Hour)
		if !w.nodes["c"].Seat().Mine || w.nodes["a"].Seat().Node != "c" {
			t.Errorf("Seat = %+v", w.nodes["a"].Seat())
		}
	})
}

// A node that is cut from the engine stops to rely on the seat before another takes it.
func TestPartition(t *testing.T) {
	inFleet(t, "a b", func(t *testing.T, w *world) {
		a, _ := w.start("a"), w.start("b")
		w.takenBy("a")
		term, _ := a.Term()
		a.client.Set(memory.Faults{Hang: true})
		for range 200 {
			if term.Good() == nil && w.nodes["b"].Seat().Mine {
				t.Fatal("both rely on the seat")
			}
			time.Sleep(200 * time.Millisecond)
		}
		w.takenBy("b")
		if err := term.Good(); err == nil {
			t.Error("good")
		}
		time.Sleep(2 * time.Minute)
		_, err := a.Term()
		if s := a.Seat(); s.Err == nil || err == nil || !strings.Contains(err.Error(), "engine") || s.ErrSince.IsZero() {
			t.Errorf("Seat = %+v, Term = %v", s, err)
		}
		a.client.Set(memory.Faults{})
		time.Sleep(time.Minute)
		if s := a.Seat(); s.Err != nil || s.Node != "b" {
			t.Errorf("Seat = %+v", s)
		}
	})
}

// An engine that does nothing that is written to it cannot be used, though it answers and
// the term lasts; likewise one in which no node can take the seat.
func TestReadOnly(t *testing.T) {
	inFleet(t, "a b", func(t *testing.T, w *world) {
		a, b := w.start("a"), w.start("b")
		w.takenBy("a")
		time.Sleep(time.Minute)
		term, _ := a.Term()
		w.server.Set(memory.Faults{ReadOnly: true})
		err := term.Commit(t.Context(), engine.Op{Key: "records/x.example", Value: []byte("x")})
		if s := a.Seat(); err == nil || !errors.Is(s.Err, memory.ErrReadOnly) || !s.Mine {
			t.Errorf("Commit = %v, Seat = %+v", err, s)
		}
		if err := term.Commit(t.Context()); !errors.Is(err, memory.ErrReadOnly) || a.Seat().Err == nil {
			t.Errorf("Commit = %v, Seat = %+v", err, a.Seat())
		}
		w.server.Set(memory.Faults{})
		if err := term.Commit(t.Context()); err != nil || a.Seat().Err != nil {
			t.Errorf("Commit = %v, Seat = %+v", err, a.Seat())
		}
		w.server.Set(memory.Faults{ReadOnly: true})
		if err := term.Commit(t.Context(), engine.Op{Key: "records/x.example", Value: []byte("y")}); err == nil || a.Seat().Err == nil {
			t.Errorf("Commit = %v, Seat = %+v", err, a.Seat())
		}
		w.server.Set(memory.Faults{})
		time.Sleep(2 * time.Minute)
		if s := a.Seat(); s.Err != nil || !s.Mine {
			t.Errorf("it is not noticed that the engine takes values again: %+v", s)
		}
		w.server.Set(memory.Faults{ReadOnly: true})
		a.end()
		time.Sleep(2 * time.Minute)
		if s := b.Seat(); s.Err != nil {
			t.Errorf("unusable too soon: %+v", s)
		}
		time.Sleep(3 * time.Minute)
		if s := b.Seat(); !errors.Is(s.Err, memory.ErrReadOnly) || s.Node != "" {
			t.Errorf("Seat = %+v", s)
		}
		w.server.Set(memory.Faults{})
		w.takenBy("b")
		time.Sleep(time.Minute)
		if s := b.Seat(); s.Err != nil {
			t.Errorf("Seat = %+v", s)
		}
	})
}

// A node that is configured anew while the engine takes no values stays signed in, and says
// what is new once the engine does.
func TestReadOnlyReload(t *testing.T) {
	inFleet(t, "a b", func(t *testing.T, w *world) {
		targets := func(sum string) func(*Options) {
			return func(o *Options) { o.Targets = map[string]string{"x.example": sum} }
		}
		a := w.start("a", targets("1"))
		w.takenBy("a")
		b := w.start("b", targets("1"))
		time.Sleep(time.Minute)
		w.server.Set(memory.Faults{ReadOnly: true})
		b.Reconfigured(map[string]string{"x.example": "2"})
		time.Sleep(5 * time.Minute)
		if s := b.Seat(); !errors.Is(s.Err, memory.ErrReadOnly) {
			t.Errorf("Seat = %+v", s)
		}
		if w.read(document.AliveKey("b")) == nil {
			t.Error("b is away")
		}
		w.server.Set(memory.Faults{})
		time.Sleep(time.Minute)
		if s := b.Seat(); s.Err != nil || a.Differs("x.example") != "b" {
			t.Errorf("Seat = %+v; a knows of another configuration of %q", s, a.Differs("x.example"))
		}
	})
}

// denied has an engine refuse reading or writing keys of a kind.
func denied(kind document.Kind, read bool) memory.Faults {
	refused := problem.New("the engine refuses "+kind.Prefix(), "grant it")
	return memory.Faults{Fail: func(c memory.Call) error {
		of := func(key string) bool { return strings.HasPrefix(key, kind.Prefix()) }
		if !read && slices.ContainsFunc(c.Ops, func(o engine.Op) bool { return of(o.Key) }) ||
			read && slices.ContainsFunc(c.Conditions, func(c engine.Condition) bool { return of(c.Key) }) {
			return refused
		}
		return nil
	}}
}

// A node that lacks a right to some of the engine leaves the seat to one that has it, and says
// so, until it has it.
func TestRightMissing(t *testing.T) {
	for _, kind := range document.Kinds {
		for _, read := range []bool{true, false} {
			if kind == document.KindNode { // without it, a node is not even alive
				continue
			}
			inFleet(t, "a b", func(t *testing.T, w *world) {
				a := w.start("a", func(o *Options) { o.Engine.(*memory.Client).Set(denied(kind, read)) })
				b := w.start("b")
				w.takenBy("b")
				time.Sleep(5 * time.Second)
				want := "the engine refuses " + kind.Prefix()
				known := want + " (grant it)"
				if s := a.Seat(); s.Waits != want || s.Remedy != "grant it" || s.Err != nil {
					t.Errorf("%s, read %t: Seat = %+v", kind, read, s)
				}
				if n := b.Nodes()[0]; n.Waits != known {
					t.Errorf("%s, read %t: b knows %+v", kind, read, n)
				}
				a.client.Set(memory.Faults{})
				time.Sleep(time.Minute)
				if s, n := a.Seat(), b.Nodes()[0]; s.Waits != "" || n.Waits != "" || s.Node != "b" {
					t.Errorf("%s, read %t, granted: Seat = %+v, b knows %+v", kind, read, s, n)
				}
			})
		}
	}
}

// Nodes that lose a right leave the seat, and the engine counts as one that cannot be used to
// order once none of them takes it.
func TestRightLost(t *testing.T) {
	for _, kind := range document.Kinds {
		if kind == document.KindNode || kind == document.KindSeat {
			continue
		}
		inFleet(t, "a b", func(t *testing.T, w *world) {
			a, b := w.start("a"), w.start("b")
			w.takenBy("a")
			term, _ := a.Term()
			w.server.Set(denied(kind, false))
			if err := term.Commit(t.Context(), engine.Op{Key: kind.Prefix() + "x", Value: []byte("x")}); err == nil {
				t.Fatal("not refused")
			}
			time.Sleep(time.Second)
			if _, err := a.Term(); err == nil || problem.Remedy(err) != "grant it" {
				t.Errorf("%s: %v (%s)", kind, err, problem.Remedy(err))
			}
			time.Sleep(4 * time.Minute)
			for _, n := range []*testNode{a, b} {
				if s := n.Seat(); s.Err == nil || problem.Remedy(s.Err) != "grant it" {
					t.Errorf("%s: Seat of %s = %+v", kind, n.Node, s)
				}
			}
			w.server.Set(memory.Faults{})
			time.Sleep(time.Minute)
			if s := b.Seat(); s.Node == "" || s.Err != nil {
				t.Errorf("%s, granted: Seat = %+v", kind, s)
			}
		})
	}
}

func TestStandUp(t *testing.T) {
	inFleet(t, "a b", func(t *testing.T, w *world) {
		a := w.start("a")
		w.takenBy("a")
		term, _ := a.Term()
		if term.StandUp("the CA cannot be reached", "", 10*time.Minute) {
			t.Error("a stood up for nobody")
		}
		w.start("b")
		time.Sleep(time.Second)
		if !term.StandUp("the CA cannot be reached", "", 10*time.Minute) {
			t.Error("a did not stand up")
		}
		if d := w.takenBy("b"); d > 5*time.Second {
			t.Errorf("taken after %v", d)
		}
		time.Sleep(time.Second)
		if s := a.Seat(); s.Waits != "the CA cannot be reached" || s.Mine {
			t.Errorf("Seat = %+v", s)
		}
		waits := func(want string) {
			t.Helper()
			time.Sleep(time.Second)
			if got := a.Nodes()[0]; got.Waits != want {
				t.Errorf("%s waits: %q, want %q", got.Name, got.Waits, want)
			}
		}
		waits("the CA cannot be reached")
		w.nodes["b"].stop()
		if d := w.takenBy("a"); d < 3*time.Second || d > 7*time.Second {
			t.Errorf("taken last, after %v", d)
		}
		time.Sleep(10 * time.Minute)
		if s := a.Seat(); s.Waits != "" {
			t.Errorf("Seat = %+v", s)
		}
		waits("")
	})
}

// The node with the newest version sits, once it had time to.
func TestNewerOrderer(t *testing.T) {
	inFleet(t, "a b", func(t *testing.T, w *world) {
		w.start("a")
		w.takenBy("a")
		time.Sleep(time.Hour)
		w.start("b", func(o *Options) { o.Version = "v1.1.0" })
		if d := w.takenBy("b"); d > 5*time.Second {
			t.Errorf("taken after %v", d)
		}
		// If the newer one cannot order, the older one does for a while.
		term, _ := w.nodes["b"].Term()
		if !term.StandUp("the CA cannot be reached", "", 10*time.Minute) {
			t.Fatal("b did not stand up")
		}
		w.takenBy("a")
		time.Sleep(9 * time.Minute)
		if !w.nodes["a"].Seat().Mine {
			t.Error("a stood up too soon")
		}
		time.Sleep(20 * time.Minute)
		w.nodes["c"] = w.nodes["b"]
		w.takenBy("c")
	})
}

// A node with a wrong clock does not order while others can.
func TestClock(t *testing.T) {
	inFleet(t, "a b c", func(t *testing.T, w *world) {
		var wrong atomic.Int64 // a time.Duration
		wrong.Store(int64(2 * time.Hour))
		log := new(testutil.Log)
		a := w.start("a", func(o *Options) {
			o.Clock = func() time.Time { return time.Now().Add(time.Duration(wrong.Load())) }
			o.Log = slog.New(slog.NewTextHandler(log, nil))
		})
		defer func() {
			if n := strings.Count(log.String(), "level=WARN"); n != 1 || !strings.Contains(log.String(), "set its clock") {
				t.Errorf("%d warnings for one event:\n%s", n, log)
			}
		}()
		w.takenBy("a")
		time.Sleep(time.Minute)
		w.start("b")
		time.Sleep(time.Minute)
		if !a.Seat().Mine {
			t.Fatal("a stood up, but b may be wrong as well")
		}
		w.start("c")
		w.takenBy("b")
		if s := a.Seat(); !strings.Contains(s.Waits, "clock") || !strings.Contains(s.Remedy, "set its clock") {
			t.Errorf("Seat = %+v", s)
		}
		time.Sleep(time.Hour)
		if !w.nodes["b"].Seat().Mine {
			t.Error("b stood up")
		}
	})
}

// Of two orderers, one with a wrong clock stands up once a CA's clock differs, too. A CA
// with a wrong clock moves nothing.
func TestClockOfCA(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "a", "b")
		var wrong atomic.Int64 // a time.Duration
		a := w.start("a", func(o *Options) { o.Clock = func() time.Time { return time.Now().Add(time.Duration(wrong.Load())) } })
		defer w.end()
		w.takenBy("a")
		time.Sleep(time.Minute)
		b := w.start("b")
		time.Sleep(time.Minute)
		a.CompareClock(time.Hour)
		time.Sleep(time.Hour)
		if !a.Seat().Mine {
			t.Fatal("a stood up, but the clock of the CA is wrong")
		}
		a.CompareClock(0)
		wrong.Store(int64(2 * time.Hour))
		time.Sleep(70 * time.Minute)
		if !a.Seat().Mine {
			t.Fatal("a stood up, but b may be wrong as well")
		}
		a.CompareClock(-2 * time.Hour)
		if d := w.takenBy("b"); d > 10*time.Second {
			t.Errorf("taken after %v", d)
		}
		if s := a.Seat(); !strings.Contains(s.Waits, "clock") || !strings.Contains(s.Remedy, "NTP") {
			t.Errorf("Seat = %+v", s)
		}
		wrong.Store(int64(0))
		b.stop()
		w.takenBy("a")
		b.CompareClock(0)
		w.start("b")
		time.Sleep(time.Hour)
		if !a.Seat().Mine {
			t.Error("a stood up again")
		}
	})
}

// Nodes that lie about their clocks move no orderer whose clock agrees with that of a CA, in
// later terms either.
func TestClockLies(t *testing.T) {
	inFleet(t, "a b c d", func(t *testing.T, w *world) {
		w.order = []string{"a", "b"}
		a := w.start("a")
		w.takenBy("a")
		a.CompareClock(time.Second)
		w.start("b")
		for _, name := range []string{"c", "d"} {
			w.start(name, func(o *Options) { o.Clock = func() time.Time { return time.Now().Add(2 * time.Hour) } })
		}
		time.Sleep(time.Hour)
		term, err := a.Term()
		if err != nil || time.Since(a.termAt) < time.Hour {
			t.Fatalf("a stood up: %v", err)
		}
		if !term.StandUp("the CA cannot be reached", "", time.Minute) {
			t.Fatal("nobody else sits")
		}
		w.takenBy("b")
		w.nodes["b"].end()
		w.takenBy("a")
		w.start("b")
		for _, name := range []string{"c", "d"} {
			w.nodes[name].end()
			w.start(name, func(o *Options) { o.Clock = func() time.Time { return time.Now().Add(2 * time.Hour) } })
		}
		if term, err = a.Term(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if now, err := a.Term(); now != term {
			t.Errorf("a stood up in a later term: %v", err)
		}
	})
}

// Values that others wrote before this node took the seat count once a CA's clock differs.
// Who has just begun to look knows of a wrong clock by what the node in the seat reported,
// until it is right.
func TestClocksReported(t *testing.T) {
	inFleet(t, "a b", func(t *testing.T, w *world) {
		w.start("a")
		w.takenBy("a")
		time.Sleep(time.Second) // it hears what is written from now on
		set := func(ahead time.Duration) *testNode {
			return w.start("b", func(o *Options) { o.Clock = func() time.Time { return time.Now().Add(ahead) } })
		}
		shows := func(want time.Duration) {
			t.Helper()
			time.Sleep(10 * time.Second)
			o := w.options("c")
			o.Observer, o.Engine = true, w.server.Client("c")
			c := New(o)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() { _ = c.Run(ctx) }()
			c.Wait(ctx)
			for _, n := range c.Nodes() {
				if n.Name == "b" && n.Clock != want || n.Name == "a" && n.Clock != 0 {
					t.Errorf("the clock of %s is %v ahead, want %v", n.Name, n.Clock, want)
				}
			}
		}
		b := set(time.Hour)
		shows(time.Hour)
		b.end()
		b = set(-30 * time.Second)
		shows(0)
		b.end()
		set(-time.Hour)
		shows(-time.Hour)
	})
}

func TestClockHeardEarlier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "a", "b")
		var wrong atomic.Int64 // a time.Duration
		a := w.start("a", func(o *Options) { o.Clock = func() time.Time { return time.Now().Add(time.Duration(wrong.Load())) } })
		defer w.end()
		w.takenBy("a")
		time.Sleep(time.Minute)
		b := w.start("b")
		time.Sleep(time.Minute)
		for i, n := range []*testNode{a, b} {
			term, _ := n.Term()
			if !term.StandUp("the CA cannot be reached", "", time.Duration(1-i)*time.Minute) {
				t.Fatal("nobody else sits")
			}
			time.Sleep(2 * time.Minute)
		}
		w.takenBy("a")
		wrong.Store(int64(-5 * time.Minute))
		time.Sleep(10 * time.Minute)
		if !a.Seat().Mine {
			t.Fatal("a stood up by what b wrote before")
		}
		a.CompareClock(5 * time.Minute)
		w.takenBy("b")
	})
}

// A second machine with the name of a node stays out.
func TestClone(t *testing.T) {
	inFleet(t, "a b", func(t *testing.T, w *world) {
		first := w.start("a")
		w.takenBy("a")
		clone := w.start("a")
		defer first.end()
		time.Sleep(5 * time.Minute)
		if s := clone.Seat(); s.Waits == "" || !strings.Contains(s.Remedy, "a name of its own") || s.Mine || !first.Seat().Mine || first.Seat().Waits != "" {
			t.Errorf("Seat = %+v", s)
		}
		first.client.Kill()
		time.Sleep(2 * time.Minute)
		if s := clone.Seat(); !s.Mine || s.Waits != "" {
			t.Errorf("Seat, once the other machine is gone = %+v", s)
		}
	})
}

// A node that was killed and starts again at once is no clone of itself.
func TestRestart(t *testing.T) {
	inFleet(t, "a b", func(t *testing.T, w *world) {
		a := w.start("a")
		w.takenBy("a")
		a.client.Kill()
		a.end()
		a = w.start("a")
		for range 120 {
			time.Sleep(time.Second)
			if s := a.Seat(); s.Waits != "" {
				t.Fatalf("Seat = %+v", s)
			}
		}
		if !a.Seat().Mine {
			t.Errorf("Seat = %+v", a.Seat())
		}
	})
}

// Whoever writes to the engine can hinder, and nothing else.
func TestSeatTakenByStranger(t *testing.T) {
	inFleet(t, "a b", func(t *testing.T, w *world) {
		a := w.start("a")
		w.takenBy("a")
		thief := w.server.Client("thief")
		if _, err := thief.Commit(t.Context(), nil, []engine.Op{{Key: document.SeatKey, Value: document.SeatValue("z", document.NewID())}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if s := a.Seat(); s.Mine || s.Node != "z" {
			t.Errorf("Seat = %+v", s)
		}
		_, _ = thief.Commit(t.Context(), nil, []engine.Op{{Key: document.SeatKey}})
		w.takenBy("a")
	})
}

// A node that was killed is alive again at once where the process before it is known to
// have ended: on the same machine. A machine with a copy of its state stays out, and so does
// a process of the same machine that another has replaced.
func TestMachine(t *testing.T) {
	inFleet(t, "a b", func(t *testing.T, w *world) {
		on := func(machine string) func(*Options) { return func(o *Options) { o.Machine = machine } }
		boot := func() string {
			var body document.Alive
			if m, err := w.members.Open(w.read("nodes/a/alive"), fleetID, "nodes/a/alive", nil); err == nil {
				body, _ = document.Parse[document.Alive](m.Body)
			}
			return body.Boot
		}
		first := w.start("a", on("here"))
		w.start("b")
		w.takenBy("a")
		first.client.Kill()
		first.stop()
		<-first.stopped
		second := w.start("a", on("here"))
		time.Sleep(time.Second)
		if boot() != second.Boot {
			t.Fatal("not alive after a second")
		}
		w.takenBy("a") // when the lease has ended that the first was in the seat under
		clone := w.start("a", on("there"))
		time.Sleep(5 * time.Minute)
		if s := clone.Seat(); s.Waits == "" || boot() != second.Boot {
			t.Errorf("a copy: Seat = %+v", s)
		}
		clone.stop()
		<-clone.stopped
		third := w.start("a", on("here"))
		time.Sleep(5 * time.Minute)
		if s := second.Seat(); s.Waits == "" || boot() != third.Boot || third.Seat().Waits != "" {
			t.Errorf("one that was replaced: Seat = %+v", s)
		}
		second.stop()
		<-second.stopped
	})
}

// A change of the configuration reaches the other nodes, and the seat is kept.
func TestReconfigured(t *testing.T) {
	inFleet(t, "a b", func(t *testing.T, w *world) {
		sums := map[string]string{"x.example": "1"}
		a, b := w.start("a", func(o *Options) { o.Targets = sums }), w.start("b", func(o *Options) { o.Targets = sums })
		w.takenBy("a")
		term, err := a.Term()
		if err != nil || b.Differs("x.example") != "" {
			t.Fatal(err)
		}
		a.Reconfigured(map[string]string{"x.example": "2"})
		time.Sleep(time.Second)
		if now, _ := a.Term(); now != term || b.Differs("x.example") != "a" {
			t.Errorf("the term changed, or b knows nothing of the change")
		}
		if n := a.Nodes(); n[0].Away != 0 {
			t.Errorf("%+v", n)
		}
	})
}

// A node in the seat leaves it to one that ordered something without the engine, which it
// does not have: once.
func TestUnreleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "a", "b", "c")
		w.order = []string{"a", "b"}
		a, b, c := w.start("a"), w.start("b"), w.start("c")
		defer w.end()
		w.takenBy("a")
		w.publish(a, "x.example")
		verified("x.example", 1, a, b, c)
		time.Sleep(time.Minute)
		for i := range 20_000 {
			b.Unreleased(fmt.Sprintf("a%d.example", i), true)
		}
		b.Unreleased("x.example", true)
		w.takenBy("b")
		for i := range 20_000 {
			b.Unreleased(fmt.Sprintf("a%d.example", i), false)
		}
		w.publish(b, "x.example")
		b.Unreleased("x.example", false)
		verified("x.example", 2, a, b, c)
		time.Sleep(time.Hour)
		if !b.Seat().Mine || len(b.view.Nodes["b"].Report.Unreleased) > 0 {
			t.Errorf("Seat = %+v", b.Seat())
		}
	})
}

// A node that leaves the seat to an older one takes it after that one; if that one does not
// take it, the node orders on, and leaves it once in ten minutes.
func TestLeftInVain(t *testing.T) {
	inFleet(t, "a b", func(t *testing.T, w *world) {
		w.start("a", func(o *Options) { o.Version = "v1.1.0" })
		b := w.start("b")
		w.takenBy("a")
		b.Unreleased("x.example", true)
		w.takenBy("b")
	})
	inFleet(t, "a b", func(t *testing.T, w *world) {
		a, b := w.start("a"), w.start("b")
		w.takenBy("a")
		time.Sleep(time.Minute)
		b.client.Set(memory.Faults{Fail: func(c memory.Call) error {
			if c.Method == "Lease" {
				return memory.ErrReadOnly
			}
			return nil
		}})
		b.Unreleased("x.example", true)
		time.Sleep(time.Minute)
		if s := a.Seat(); !s.Mine || s.Waits == "" {
			t.Fatalf("a does not order after a minute: %+v", s)
		}
		term, _ := a.Term()
		time.Sleep(8 * time.Minute)
		if now, err := a.Term(); now != term {
			t.Errorf("a stood up again: %v", err)
		}
	})
}

// While the configuration of a living orderer differs, the node in the seat waits; when that
// one is gone or agrees, it is called for the target at once.
func TestDiffers(t *testing.T) {
	inFleet(t, "a b", func(t *testing.T, w *world) {
		with := func(sum string) func(o *Options) {
			return func(o *Options) { o.Targets = map[string]string{"x.example": sum, "y.example": "same"} }
		}
		a, b := w.start("a", with("new")), w.start("b", with("old"))
		w.takenBy("a")
		called := func() (targets []string) {
			for {
				select {
				case some := <-a.changed:
					targets = append(targets, some...)
				default:
					return targets
				}
			}
		}
		differs := func() {
			t.Helper()
			time.Sleep(10 * time.Second)
			if x, y := a.Differs("x.example"), a.Differs("y.example"); x != "b" || y != "" {
				t.Errorf("x: %q, y: %q", x, y)
			}
			called()
		}
		differs()
		b.client.Kill()
		b.stop()
		time.Sleep(70 * time.Second) // its lease
		if got := called(); !slices.Equal(got, []string{"x.example"}) || a.Differs("x.example") != "" {
			t.Errorf("gone: called for %q", got)
		}
		b = w.start("b", with("old"))
		differs()
		b.stop()
		<-b.stopped
		w.start("b", with("new"))
		time.Sleep(10 * time.Second)
		if got := called(); !slices.Equal(got, []string{"x.example"}) {
			t.Errorf("agrees: called for %q", got)
		}
	})
}
