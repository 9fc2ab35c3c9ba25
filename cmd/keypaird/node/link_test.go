package node

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"keypaird/acme/http01"
	"keypaird/cmd/keypaird/engine"
	"keypaird/renew/keypair"
)

// The node of the next configuration goes on with the seat and the name of the one before,
// also for other targets. With another key it begins anew, and the seat is free meanwhile.
func TestKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMachines(t, "a", "b")
		dir := t.TempDir()
		made := w.start("a", dir, "a", "b")
		made.stop()
		begin := func(change func(*Options)) (n *Node, end func()) {
			o := made.o
			var err error
			o.Store, err = keypair.Open(dir)
			ok(t, err)
			o.Run = func(ctx context.Context) { <-ctx.Done() }
			change(&o)
			n = newNode(o)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() {
				defer close(done)
				n.take(ctx, &http01.Solver{Dir: filepath.Join(dir, "http-01"), Log: slog.New(slog.DiscardHandler)}, engine.Passes{})
			}()
			time.Sleep(5 * time.Second)
			return n, func() { cancel(); <-done }
		}
		first, end := begin(func(*Options) {})
		term, err := first.Fleet().Term()
		ok(t, err)
		w.start("b", t.TempDir(), "a", "b") // it would take a seat that is free
		time.Sleep(5 * time.Second)
		first.Keep()
		end()
		second, end := begin(func(o *Options) {
			o.CAs, o.Fleet.Targets = map[string][]string{"other.example": {ca}}, map[string]string{"other.example": "1"}
			o.Fleet.Audience = func(string) []string { return []string{"b"} }
		})
		if now, err := second.Fleet().Term(); now != term || term.Good() != nil {
			t.Fatalf("it does not sit as before: %v", err)
		}
		if d := second.Describe(); len(d.Targets) != 1 || d.Targets[0].Name != "other.example" || d.Targets[0].Count() != "0/1" {
			t.Errorf("the configuration before is used: %+v", d.Targets)
		}
		if second.Begin(t.Context(), nil); second.Permit() != nil {
			t.Error("it may not order")
		}
		second.End()
		second.Keep()
		end()
		_, end = begin(func(o *Options) {
			o.Fleet.Identity, err = o.Fleet.Identity.Rotate()
			ok(t, err)
		})
		if term.Good() == nil {
			t.Error("with another key it sits as before")
		}
		end()
		if kept.Load() != nil {
			t.Error("something is kept at the end")
		}
	})
}
