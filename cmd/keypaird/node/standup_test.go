package node

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keypaird/renew"
	"keypaird/renew/backoff"
)

// After three failures in a row that may be this node's alone, another one orders, and this
// one comes last for ten minutes.
func TestFailsHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMachines(t, "a", "b")
		a := w.start("a", t.TempDir(), "a", "b")
		time.Sleep(5 * time.Second)
		seated := func(m *testMachine) {
			t.Helper()
			time.Sleep(10 * time.Second)
			for _, other := range []*testMachine{m, a} {
				if s := other.Fleet().Seat(); s.Node != m.Name() {
					t.Errorf("by %s, %q sits; want %s", other.Name(), s.Node, m.Name())
				}
			}
		}
		fails := func(failures, here int) {
			t.Helper()
			ok(t, a.begin())
			st := renew.State{Fingerprint: "f"}
			st.Record.Orders = map[string]backoff.Attempt{ca: {Failures: failures, Here: here, At: time.Now(), Error: "no route", Remedy: "check the network"}}
			a.Sharing(domain).Reported(st, nil)
			a.End()
		}
		fails(3, 3) // and nobody else lives
		seated(a)
		b := w.start("b", t.TempDir(), "a", "b")
		time.Sleep(5 * time.Second)
		fails(3, 2)
		seated(a)
		fails(7, 4)
		seated(a)
		fails(5, 3)
		seated(b)
		time.Sleep(9 * time.Minute)
		if s := a.Fleet().Seat(); !strings.HasSuffix(s.Waits, "failed 3 times in a row: no route") || s.Remedy != "check the network" {
			t.Errorf("Seat = %+v", s)
		}
		if n := b.Fleet().Nodes()[0]; !strings.HasSuffix(n.Waits, ": no route (check the network)") {
			t.Errorf("b knows %+v", n)
		}
		b.stop()
		began := time.Now()
		for !a.Fleet().Seat().Mine {
			time.Sleep(100 * time.Millisecond)
		}
		if d := time.Since(began); d < 3*time.Second || d > time.Minute {
			t.Errorf("taken last, after %v", d)
		}
	})
}
