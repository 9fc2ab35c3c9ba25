package fleet

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/engine"
	"keypaird/renew/fleet/engine/memory"
	"keypaird/renew/problem"
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
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "a", "b", "c")
		for _, name := range []string{"c", "b", "a"} {
			w.start(name)
		}
		defer w.end()
		w.takenBy("a")
		time.Sleep(time.Second)
		if _, err := w.nodes["b"].Term(); err == nil || !strings.Contains(err.Error(), "node a orders") || problem.Remedy(err) == "" {
			t.Errorf("Term = %v", err)
		}
		a := w.nodes["a"]
		a.stop() // as the service manager ends it
		<-a.stopped
		if d := w.takenBy("b"); d > time.Second/2 {
			t.Errorf("taken after %v", d)
		}
		w.nodes["b"].client.Kill()
		if d := w.takenBy("c"); d < 28*time.Second || d > 35*time.Second {
			t.Errorf("taken %v after the node before was killed", d)
		}
		if s := w.nodes["c"].Seat(); s.Node != "c" || !s.Mine || s.Err != nil || s.Since.IsZero() {
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
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "a", "b")
		a, _ := w.start("a"), w.start("b")
		defer w.end()
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

func TestStandUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "a", "b")
		a := w.start("a")
		defer w.end()
		w.takenBy("a")
		term, _ := a.Term()
		if term.StandUp("the CA cannot be reached", 10*time.Minute) {
			t.Error("a stood up for nobody")
		}
		w.start("b")
		time.Sleep(time.Second)
		if !term.StandUp("the CA cannot be reached", 10*time.Minute) {
			t.Error("a did not stand up")
		}
		if d := w.takenBy("b"); d > 5*time.Second {
			t.Errorf("taken after %v", d)
		}
		time.Sleep(time.Second)
		if s := a.Seat(); s.Waits != "the CA cannot be reached" || s.Mine {
			t.Errorf("Seat = %+v", s)
		}
		w.nodes["b"].stop()
		if d := w.takenBy("a"); d < 3*time.Second || d > 7*time.Second {
			t.Errorf("taken last, after %v", d)
		}
		time.Sleep(10 * time.Minute)
		if s := a.Seat(); s.Waits != "" {
			t.Errorf("Seat = %+v", s)
		}
	})
}

// The node with the newest version sits, once it had time to.
func TestNewerOrderer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "a", "b")
		w.start("a")
		defer w.end()
		w.takenBy("a")
		time.Sleep(time.Hour)
		w.start("b", func(o *Options) { o.Version = "v1.1.0" })
		if d := w.takenBy("b"); d > 5*time.Second {
			t.Errorf("taken after %v", d)
		}
		// If the newer one cannot order, the older one does for a while.
		term, _ := w.nodes["b"].Term()
		if !term.StandUp("the CA cannot be reached", 10*time.Minute) {
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
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "a", "b", "c")
		wrong := 2 * time.Hour
		a := w.start("a", func(o *Options) { o.Clock = func() time.Time { return time.Now().Add(wrong) } })
		defer w.end()
		w.takenBy("a")
		time.Sleep(time.Minute)
		w.start("b")
		time.Sleep(time.Minute)
		if !a.Seat().Mine {
			t.Fatal("a stood up, but b may be wrong as well")
		}
		w.start("c")
		w.takenBy("b")
		if s := a.Seat(); !strings.Contains(s.Waits, "clock") {
			t.Errorf("Seat = %+v", s)
		}
		time.Sleep(time.Hour)
		if !w.nodes["b"].Seat().Mine {
			t.Error("b stood up")
		}
	})
}

// A second machine with the name of a node stays out.
func TestClone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "a", "b")
		first := w.start("a")
		defer w.end()
		w.takenBy("a")
		clone := w.start("a")
		defer func() { first.stop(); <-first.stopped }()
		time.Sleep(5 * time.Minute)
		if s := clone.Seat(); s.Waits == "" || s.Mine || !first.Seat().Mine || first.Seat().Waits != "" {
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
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "a", "b")
		a := w.start("a")
		defer w.end()
		w.takenBy("a")
		a.client.Kill()
		a.stop()
		<-a.stopped
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
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "a", "b")
		a := w.start("a")
		defer w.end()
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

// While the configuration of a living orderer differs, the node in the seat waits; when that
// one is gone or agrees, it is called for the target at once.
func TestDiffers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "a", "b")
		with := func(sum string) func(o *Options) {
			return func(o *Options) { o.Targets = map[string]string{"x.example": sum, "y.example": "same"} }
		}
		a, b := w.start("a", with("new")), w.start("b", with("old"))
		defer w.end()
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
