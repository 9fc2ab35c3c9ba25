package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
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
	"keypaird/renew/fleet/wave"
	"keypaird/renew/keypair"
	"keypaird/renew/keypair/pairtest"
	"keypaird/renew/problem"
)

// read returns the value of a key in the engine.
func (w *world) read(key string) []byte {
	w.t.Helper()
	e, err := engine.ReadKey(w.t.Context(), w.server.Client("observer"), key)
	if err != nil {
		w.t.Fatal(err)
	}
	return e.Value
}

func (w *world) write(key string, value []byte) {
	w.t.Helper()
	if _, err := w.server.Client("writer").Commit(w.t.Context(), nil, []engine.Op{{Key: key, Value: value}}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) list(prefix string) (keys []string) {
	snapshot, err := w.server.Client("observer").Read(w.t.Context(), prefix)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range snapshot.Entries {
		keys = append(keys, e.Key)
	}
	return keys
}

func issuePair(t testing.TB, names ...string) *keypair.Pair {
	t.Helper()
	p, err := pairtest.Issue(names, time.Now(), 90*day)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// verified lets nodes report a release as verified.
func verified(target string, serial uint64, nodes ...*testNode) {
	for _, n := range nodes {
		n.Report(target, serial, nil)
	}
}

// Values that the right node did not sign are ignored: the one before stays.
func TestForgeries(t *testing.T) {
	inFleet(t, "a b c", func(t *testing.T, w *world) {
		w.order = []string{"a"}
		var log bytes.Buffer
		a, b := w.start("a"), w.start("b", func(o *Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
		w.takenBy("a")
		w.publish(a, "x.example")
		w.publish(a, "y.example")
		time.Sleep(time.Second)
		was, _ := b.Release("x.example")

		forge := func(key string, by string, identity *envelope.Identity, r document.Release) {
			body, _ := json.Marshal(r)
			value, err := identity.Sign(envelope.Message{Header: envelope.Header{Fleet: fleetID, Key: key, By: by, At: time.Now()}, Body: body})
			if err != nil {
				t.Fatal(err)
			}
			w.write("live/x.example", value)
			time.Sleep(time.Second)
		}
		next := was
		next.Serial++
		stranger, _ := envelope.Generate()
		forge("live/x.example", "a", stranger, next)
		forge("live/x.example", "b", w.keys["b"], next) // may not order
		forge("live/y.example", "a", w.keys["a"], next) // another key
		w.write("live/x.example", []byte("nonsense"))
		w.write("live/x.example", w.read("live/y.example"))
		time.Sleep(30 * time.Minute)
		if r, ok := b.Release("x.example"); !ok || r.Serial != was.Serial || r.Fingerprint != was.Fingerprint {
			t.Errorf("Release = %+v, was %+v", r, was)
		}
		if n := strings.Count(log.String(), "value ignored"); n != 5 || !strings.Contains(log.String(), "live/x.example") {
			t.Errorf("ignored %d times:\n%s", n, &log)
		}
	})
}

// A node whose pair is sealed to it later is called for it again, although the release stays
// as it is, and not often.
func TestPairSealedLater(t *testing.T) {
	inFleet(t, "a b", func(t *testing.T, w *world) {
		w.order = []string{"a"}
		only := func(o *Options) { o.Audience = func(string) []string { return nil } }
		var calls atomic.Int64
		a := w.start("a", only)
		b := w.start("b", func(o *Options) { o.Changed = func([]string) { calls.Add(1) } })
		w.takenBy("a")
		w.publish(a, "x.example")
		time.Sleep(time.Second)
		fetch := func() error { _, _, err := b.Pair(t.Context(), "x.example"); return err }
		if err := fetch(); err == nil {
			t.Fatal("sealed to all")
		}
		calls.Store(0)
		for range 3 {
			_ = fetch() // passes for other reasons
		}
		time.Sleep(2 * time.Second)
		if n := calls.Load(); n != 1 {
			t.Errorf("called %d times", n)
		}
		for began := time.Now(); time.Since(began) < time.Hour; time.Sleep(10 * time.Second) {
			_ = fetch()
		}
		if n := calls.Load(); n > 30 {
			t.Errorf("called %d times in an hour", n)
		}
		term, _ := a.Term()
		a.Audience = func(string) []string { return []string{"b"} }
		if sealed, err := a.Reseal(t.Context(), term, "x.example"); !sealed || err != nil {
			t.Fatal(sealed, err)
		}
		calls.Store(0)
		time.Sleep(5*time.Minute + time.Second)
		if err := fetch(); err != nil || calls.Load() == 0 {
			t.Errorf("called %d times: %v", calls.Load(), err)
		}
	})
}

func TestPair(t *testing.T) {
	inFleet(t, "a b c", func(t *testing.T, w *world) {
		w.order = []string{"a"}
		audience := func(o *Options) { o.Audience = func(string) []string { return []string{"b"} } }
		a, b, c := w.start("a", audience), w.start("b", audience), w.start("c")
		w.takenBy("a")
		fails := func(n *testNode, target, with string) {
			t.Helper()
			time.Sleep(time.Second)
			p, _, err := n.Pair(t.Context(), target)
			if err == nil || p != nil || !strings.Contains(err.Error(), with) || problem.Remedy(err) == "" {
				t.Errorf("Pair of %s = %v; want %q and a remedy (%s)", target, err, with, problem.Remedy(err))
			}
		}
		fails(b, "x.example", "no certificate")
		w.publish(a, "x.example")
		w.publish(a, "y.example")
		time.Sleep(time.Second)
		for _, n := range []*testNode{a, b} {
			p, r, err := n.Pair(t.Context(), "x.example")
			if err != nil || p.Fingerprint() != r.Fingerprint || len(p.Key()) == 0 {
				t.Errorf("%s: %v", n.Node, err)
			}
		}
		fails(c, "x.example", "not sealed to this node")
		b.Names = func(string) []string { return []string{"x.example", "www.x.example"} }
		fails(b, "x.example", "lacks names")
		b.Names = nil

		r, _ := b.Release("x.example")
		key := document.PairKey("x.example", r.Version)
		good := w.read(key)
		w.write(key, w.read(document.PairKey("y.example", r.Version)))
		fails(b, "x.example", "written for another key")
		w.write(key, nil)
		fails(b, "x.example", "lacks the certificate")
		op, _ := a.Op(key, document.Pair{Chain: string(issuePair(t, "x.example").FullChain())}, issuePair(t, "x.example").Key(), []string{"a", "b"})
		w.write(key, op.Value)
		fails(b, "x.example", "does not belong")
		other := issuePair(t, "x.example")
		op, _ = a.Op(key, document.Pair{Chain: string(other.FullChain())}, other.Key(), []string{"a", "b"})
		w.write(key, op.Value)
		fails(b, "x.example", "not the one that it names")
		w.write(key, good)
		if _, _, err := b.Pair(t.Context(), "x.example"); err != nil {
			t.Error(err)
		}
		term, _ := a.Term()
		brief, _ := pairtest.Issue([]string{"x.example"}, time.Now(), time.Hour)
		if _, err := a.Publish(t.Context(), term, Publication{Target: "x.example", Pair: brief}); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * time.Hour)
		fails(b, "x.example", "expired")
	})
}

// The engine is restored from a backup, and emptied: nothing is lost, serials grow, and
// nodes learn of it in ten minutes.
func TestEngineGoesBack(t *testing.T) {
	for _, silent := range []bool{false, true} {
		inFleet(t, "a b c", func(t *testing.T, w *world) {
			a, b, c := w.start("a"), w.start("b"), w.start("c")
			w.takenBy("a")
			w.publish(a, "x.example")
			verified("x.example", 1, a, b, c)
			time.Sleep(5 * time.Second)
			backup := w.server.Backup()
			pairs := map[uint64]*keypair.Pair{}
			for serial := uint64(2); serial <= 3; serial++ {
				pairs[serial] = issuePair(t, "x.example")
				term, _ := a.Term()
				if got, err := a.Publish(t.Context(), term, Publication{Target: "x.example", Pair: pairs[serial]}); got != serial || err != nil {
					t.Fatal(got, err)
				}
				time.Sleep(time.Second)
				verified("x.example", serial, a, b, c)
				time.Sleep(5 * time.Second)
			}
			if silent {
				for _, n := range w.nodes {
					n.client.Set(memory.Faults{Hang: true})
				}
			}
			w.server.Restore(backup)
			for _, n := range w.nodes {
				n.client.Set(memory.Faults{})
			}
			time.Sleep(11 * time.Minute)
			r, _ := c.Release("x.example")
			if r.Serial != 1 || Compare(Local{Serial: 3, Seated: true, Newest: "x"}, r) != Publish {
				t.Errorf("after the restore: %+v", r)
			}
			var report document.Report
			if m, err := w.members.Open(w.read("nodes/c/report"), fleetID, "nodes/c/report", nil); err != nil {
				t.Error(err)
			} else if report, err = document.Parse[document.Report](m.Body); err != nil || report.Exceptions["x.example"].Serial != 3 || len(report.Newer) != 1 {
				t.Errorf("report %+v, %v", report, err)
			}
			holder := w.seated()
			term, _ := holder.Term()
			if serial, err := holder.Publish(t.Context(), term, Publication{Target: "x.example", Pair: pairs[3], Serial: 3}); serial != 4 || err != nil {
				t.Errorf("healed with %d, %v", serial, err)
			}
			verified("x.example", 4, a, b, c)
			time.Sleep(10 * time.Second)
			if r, _ = b.Release("x.example"); r.Serial != 4 || !r.All {
				t.Errorf("healed: %+v", r)
			}

			w.server.Restore(memory.Backup{})
			time.Sleep(11 * time.Minute)
			if _, ok := b.Release("x.example"); ok || len(w.read(document.FleetKey)) == 0 || w.seated() == nil {
				t.Error("emptied, and not healed")
			}
			holder = w.seated()
			term, _ = holder.Term()
			if serial, err := holder.Publish(t.Context(), term, Publication{Target: "x.example", Pair: pairs[3], Serial: 4, Again: true}); serial != 4 || err != nil {
				t.Errorf("healed with %d, %v", serial, err)
			}
		})
	}
}

// seated returns the node in the seat.
func (w *world) seated() *testNode {
	for _, n := range w.nodes {
		if n.Seat().Mine {
			return n
		}
	}
	return nil
}

// A node in the seat that lacks a release which another orderer has, while the engine lost
// it, leaves the seat to that one. If none has it, the next serial is higher all the same.
func TestNewerReleaseElsewhere(t *testing.T) {
	inFleet(t, "a b c", func(t *testing.T, w *world) {
		w.order = []string{"a", "b"}
		a, b, c := w.start("a"), w.start("b"), w.start("c")
		w.takenBy("a")
		w.publish(a, "x.example")
		verified("x.example", 1, a, b, c)
		time.Sleep(5 * time.Second)
		backup := w.server.Backup()
		w.publish(a, "x.example")
		time.Sleep(time.Second)
		verified("x.example", 2, b, c)
		a.end()
		w.server.Restore(backup) // and so was a
		a = w.start("a")
		verified("x.example", 1, a)
		b.end()
		w.takenBy("a")
		time.Sleep(15 * time.Minute)
		if serial := w.publish(a, "y.example"); serial != 1 {
			t.Errorf("serial %d", serial)
		}
		if serial := w.publish(a, "x.example"); serial != 3 { // c has 2
			t.Errorf("serial %d of what a node that cannot order has newer", serial)
		}
	})
	inFleet(t, "a b", func(t *testing.T, w *world) {
		a, b := w.start("a"), w.start("b")
		w.takenBy("a")
		w.publish(a, "x.example")
		verified("x.example", 1, a, b)
		time.Sleep(5 * time.Second)
		backup := w.server.Backup()
		w.publish(a, "x.example")
		time.Sleep(time.Second)
		verified("x.example", 2, b) // a was restored, too: it has 1
		w.server.Restore(backup)
		w.takenBy("b")
	})
}

// Another fleet's prefix is left alone.
func TestOtherFleet(t *testing.T) {
	inFleet(t, "a b", func(t *testing.T, w *world) {
		w.start("b", func(o *Options) { o.ID = strings.Repeat("f", 32) })
		w.takenBy("b")
		time.Sleep(time.Minute)
		revision := w.server.Revision()
		a := w.start("a")
		time.Sleep(10 * time.Minute)
		if s := a.Seat(); s.Err == nil || problem.Remedy(s.Err) == "" || s.Mine {
			t.Errorf("Seat = %+v", s)
		}
		if keys := w.list(""); slices.Contains(keys, "nodes/a/report") || w.server.Revision() > revision+1 {
			t.Errorf("keys %q", keys)
		}
	})
}

// Changes are reported together, also while Changed takes long.
func TestChanged(t *testing.T) {
	inFleet(t, "a b", func(t *testing.T, w *world) {
		w.order = []string{"a"}
		var mu sync.Mutex
		var calls [][]string
		a := w.start("a")
		w.start("b", func(o *Options) {
			o.Audience = func(target string) []string {
				if target == "other.example" {
					return []string{"a"}
				}
				return []string{"a", "b"}
			}
			o.Changed = func(targets []string) {
				mu.Lock()
				calls = append(calls, targets)
				mu.Unlock()
				time.Sleep(time.Minute)
			}
		})
		w.takenBy("a")
		time.Sleep(2 * time.Minute)
		mu.Lock()
		calls = nil
		mu.Unlock()
		for range 3 {
			for _, target := range []string{"x.example", "y.example", "other.example"} {
				w.publish(a, target)
			}
		}
		time.Sleep(10 * time.Minute)
		mu.Lock()
		defer mu.Unlock()
		if len(calls) != 1 || !slices.Equal(calls[0], []string{"x.example", "y.example"}) {
			t.Errorf("calls %q", calls)
		}
	})
}

// Reports are written when they change, and a fleet at rest writes nothing.
func TestReports(t *testing.T) {
	inFleet(t, "a b c", func(t *testing.T, w *world) {
		a, b, c := w.start("a"), w.start("b"), w.start("c")
		w.takenBy("a")
		w.publish(a, "x.example")
		for range 3 {
			verified("x.example", 1, a, b, c)
			time.Sleep(10 * time.Second)
		}
		before := w.server.Revision()
		for range 100 {
			verified("x.example", 1, a, b, c)
			time.Sleep(time.Minute)
		}
		if now := w.server.Revision(); now != before {
			t.Errorf("%d writes at rest", now-before)
		}
		for _, n := range a.Progress("x.example") {
			if !n.Verified {
				t.Errorf("%+v", n)
			}
		}
		for i := range 3 {
			b.Report("x.example", 1, &document.Exception{Failures: i + 1, Err: "reload failed", At: time.Now()})
			time.Sleep(5 * time.Second)
		}
		if n := w.server.Revision() - before; n != 3 {
			t.Errorf("%d writes for three failures", n)
		}
		if p := a.Progress("x.example")[1]; p.Verified || p.Failures != 3 || p.Err != "reload failed" {
			t.Errorf("%+v", p)
		}
		// A node that starts again and has not looked yet still says what it said.
		b.end()
		b = w.start("b")
		time.Sleep(5 * time.Minute)
		if p := a.Progress("x.example")[1]; p.Verified || p.Failures != 3 {
			t.Errorf("%+v", p)
		}
		verified("x.example", 1, b)
		time.Sleep(5 * time.Second)
		if p := a.Progress("x.example")[1]; !p.Verified {
			t.Errorf("%+v", p)
		}
		c.Report("x.example", 1, nil)
	})
}

// A node that follows nothing any more, though the engine seems to answer, reads all after
// ten minutes; one that lost changes does so at once.
func TestResync(t *testing.T) {
	inFleet(t, "a b", func(t *testing.T, w *world) {
		w.order = []string{"a"}
		a, b := w.start("a"), w.start("b")
		w.takenBy("a")
		b.client.Set(memory.Faults{Unreachable: true})
		for range 5 {
			w.publish(a, "x.example")
		}
		w.server.Compact(w.server.Revision())
		b.client.Set(memory.Faults{})
		time.Sleep(5 * time.Second)
		if r, _ := b.Release("x.example"); r.Serial != 5 {
			t.Errorf("Release = %+v", r)
		}
	})
}

// A reload between reading all and following has all read again.
func TestReloadedWhileReading(t *testing.T) {
	inFleet(t, "a b", func(t *testing.T, w *world) {
		o := w.options("b")
		o.Engine = w.server.Client("b")
		f := New(o)
		if err := f.resync(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.Reconfigured(nil)
		began := time.Now()
		if err := f.followChanges(t.Context()); err != nil || time.Since(began) > time.Second {
			t.Errorf("followed for %v, %v", time.Since(began), err)
		}
	})
}

// deaf is an engine that tells nothing of what changes, and nothing of that.
type deaf struct{ engine.Engine }

func (deaf) Follow(ctx context.Context, _ []string, _ engine.Revision) iter.Seq2[engine.Change, error] {
	return func(yield func(engine.Change, error) bool) {
		<-ctx.Done()
		yield(engine.Change{}, ctx.Err())
	}
}

// A watch that hangs costs ten minutes at most. A node that notices by its own writes that
// the engine went back reads all at once.
func TestDeaf(t *testing.T) {
	inFleet(t, "a b", func(t *testing.T, w *world) {
		w.order, w.rules.Waves = []string{"a"}, nil
		a := w.start("a")
		b := w.start("b", func(o *Options) { o.Engine = deaf{o.Engine} })
		w.takenBy("a")
		time.Sleep(time.Minute)
		backup := w.server.Backup()
		w.publish(a, "x.example")
		time.Sleep(time.Minute)
		if _, ok := b.Release("x.example"); ok {
			t.Fatal("b is not deaf")
		}
		time.Sleep(10 * time.Minute)
		if _, ok := b.Release("x.example"); !ok {
			t.Error("not read after ten minutes")
		}
		b.Report("x.example", 1, &document.Exception{Err: "reload failed", Failures: 1})
		time.Sleep(2 * time.Second)
		b.Report("x.example", 1, &document.Exception{Err: "reload failed", Failures: 2})
		time.Sleep(2 * time.Second)
		w.server.Restore(backup)
		b.Report("x.example", 1, &document.Exception{Err: "reload failed", Failures: 3})
		time.Sleep(10 * time.Second)
		if _, ok := b.Release("x.example"); ok {
			t.Error("the engine went back, and b did not notice")
		}
	})
}

// What a node reported to an engine that was restored since says nothing of the revisions
// that come again.
func TestReportOfAnotherHistory(t *testing.T) {
	inFleet(t, "a b", func(t *testing.T, w *world) {
		a := w.start("a")
		w.takenBy("a")
		signer := a.signer
		signer.Node, signer.Identity = "b", w.keys["b"]
		op, err := signer.Op("nodes/b/report", 0, document.Report{Revision: 5000}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		w.write(op.Key, op.Value)
		w.publish(a, "x.example")
		time.Sleep(time.Second)
		if p := a.Progress("x.example"); p[1].Verified {
			t.Errorf("%+v", p)
		}
	})
}

// An old report says nothing of a release that began later, at whatever revision the owner of
// the engine shows both.
func TestOldReport(t *testing.T) {
	inFleet(t, "a b", func(t *testing.T, w *world) {
		w.order = []string{"a"}
		a := w.start("a")
		w.takenBy("a")
		signer := a.signer
		signer.Node, signer.Identity = "b", w.keys["b"]
		report := func(seen time.Time) bool {
			op, err := signer.Op("nodes/b/report", 0, document.Report{Revision: 30, Seen: seen}, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			w.write(op.Key, op.Value)
			time.Sleep(time.Second)
			return a.Progress("x.example")[1].Verified
		}
		before := time.Now()
		time.Sleep(time.Second)
		w.publish(a, "x.example")
		for w.server.Revision() < 40 {
			w.write("live/other.example", nil)
			w.write("live/other.example", []byte("nonsense"))
		}
		r, _ := a.Release("x.example")
		if report(before) || report(time.Time{}) || report(r.At.Add(-time.Nanosecond)) {
			t.Error("an old report passes for one of the release")
		}
		if !report(r.At) {
			t.Error("a report of the release does not count")
		}
	})
}

// A node that cannot take a release holds it as one that cannot deploy it.
func TestCannotTake(t *testing.T) {
	inFleet(t, "a b c", func(t *testing.T, w *world) {
		a := w.start("a")
		w.start("b")
		w.start("c")
		w.takenBy("a")
		w.publish(a, "x.example")
		for minute := range 4 {
			a.Report("x.example", 0, &document.Exception{Err: "not sealed to this node"})
			time.Sleep(10 * time.Second)
			r, _ := a.Release("x.example")
			if minute < 2 && (r.Held != "a: not sealed to this node" || len(r.Nodes) != 1) || minute == 3 && len(r.Nodes) != 2 {
				t.Errorf("minute %d: %+v", minute, r)
			}
			time.Sleep(time.Minute)
		}
	})
}

// A node that may not order does not follow what other nodes report. An observer follows
// all, and does nothing.
func TestObserver(t *testing.T) {
	inFleet(t, "a b c", func(t *testing.T, w *world) {
		w.order = []string{"a"}
		a, b, c := w.start("a"), w.start("b"), w.start("c")
		w.takenBy("a")
		w.publish(a, "x.example")
		verified("x.example", 1, a, b, c)
		time.Sleep(10 * time.Second)
		if p := c.Progress("x.example"); p[1].Verified || !p[2].Verified {
			t.Errorf("before: %+v", p)
		}
		revision := w.server.Revision()
		observer := w.start("c", func(o *Options) { o.Observer = true })
		defer c.end()
		observer.Wait(t.Context())
		p := observer.Progress("x.example")
		_, known := observer.Release("x.example")
		if !p[0].Verified || !p[1].Verified || !p[2].Verified || p[0].Away != 0 || len(observer.Nodes()) != 3 || !known {
			t.Errorf("%+v, %+v", p, observer.Nodes())
		}
		time.Sleep(time.Hour)
		if w.server.Revision() != revision {
			t.Error("the observer writes")
		}
	})
}

// With 200 nodes a release reaches all of them within seconds, with few writes.
func TestManyNodes(t *testing.T) {
	var names []string
	for i := range 200 {
		names = append(names, fmt.Sprintf("n%03d", i))
	}
	inFleet(t, strings.Join(names, " "), func(t *testing.T, w *world) {
		w.order = names[:2]
		for _, name := range names {
			w.start(name, func(o *Options) {
				o.Log = slog.New(slog.DiscardHandler)
				o.Changed = func([]string) {
					n := w.node(name)
					if r, ok := n.Release("x.example"); ok && wave.Allows(r, name) {
						n.Report("x.example", r.Serial, nil)
					}
				}
			})
		}
		w.takenBy("n000")
		time.Sleep(10 * time.Second)
		before := w.server.Revision()
		w.publish(w.nodes["n000"], "x.example")
		began := time.Now()
		for done := 0; done < len(names); {
			time.Sleep(100 * time.Millisecond)
			done = 0
			for _, n := range w.nodes["n000"].Progress("x.example") {
				if n.Verified {
					done++
				}
			}
			if time.Since(began) > time.Minute {
				t.Fatalf("%d verified", done)
			}
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("took %v", took)
		}
		if writes := w.server.Revision() - before; writes > 300 {
			t.Errorf("%d writes", writes)
		}
		t.Logf("%v, %d writes", time.Since(began), w.server.Revision()-before)
	})
}

// node returns a node that was started.
func (w *world) node(name string) *testNode {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.nodes[name]
}
