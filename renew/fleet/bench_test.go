package fleet

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"testing"
	"time"

	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/engine"
	"keypaird/renew/fleet/engine/memory"
	"keypaird/renew/fleet/envelope"
	"keypaird/renew/fleet/view"
	"keypaird/renew/fleet/wave"
)

// large returns an orderer of a fleet with 10,000 targets and 200 nodes, and its engine.
func large(b *testing.B) (*Fleet, *memory.Server) {
	b.Helper()
	const targets, nodes = 10_000, 200
	members := envelope.Members{}
	key, err := envelope.Generate()
	if err != nil {
		b.Fatal(err)
	}
	var names []string
	for i := range nodes {
		names = append(names, fmt.Sprintf("node%03d", i))
		members[names[i]] = key.Publics()
	}
	s := memory.New()
	o := Options{
		Engine: s.Client("node000"), Identity: key, Members: members, ID: fleetID, Node: "node000", Order: names[:2],
		Audience: func(string) []string { return names }, Rules: wave.Rules{Waves: []string{"1", "25%", "100%"}},
		Boot: "b", Version: "v1.0.0", Log: slog.New(slog.DiscardHandler),
	}
	f := New(o)
	commit := func(op engine.Op, err error) {
		if err != nil {
			b.Fatal(err)
		}
		if _, err = o.Engine.Commit(b.Context(), nil, []engine.Op{op}); err != nil {
			b.Fatal(err)
		}
	}
	for i := range targets {
		key := document.LiveKey(fmt.Sprintf("target%05d.example.org", i))
		commit(f.signer.Op(key, 1, releaseOf(i), nil, nil))
	}
	for _, name := range names {
		signer := f.signer
		signer.Node = name
		commit(signer.Op(document.AliveKey(name), 0, document.Alive{Boot: "b", Version: "v1.0.0", Clock: time.Now()}, nil, nil))
		commit(signer.Op(document.ReportKey(name), 0, document.Report{Revision: targets + 1, Seen: time.Now()}, nil, nil))
	}
	return f, s
}

func releaseOf(i int) document.Release {
	return document.Release{Serial: 1, Version: "v000001", Fingerprint: fmt.Sprintf("%064x", i), NotAfter: time.Now().Add(90 * day), At: time.Now(), All: true}
}

// BenchmarkFirstSync reads and verifies all, as at the start of an orderer; what the view
// then takes of memory is reported.
func BenchmarkFirstSync(b *testing.B) {
	f, s := large(b)
	_ = s
	var before, after runtime.MemStats
	for b.Loop() {
		b.StopTimer()
		f = New(f.Options)
		runtime.GC()
		runtime.ReadMemStats(&before)
		b.StartTimer()
		if err := f.resync(context.Background()); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(int64(after.HeapAlloc)-int64(before.HeapAlloc))/1e6, "MB")
		b.StartTimer()
	}
	runtime.KeepAlive(f)
}

// BenchmarkResync reads all anew when nothing has changed, as every ten minutes.
func BenchmarkResync(b *testing.B) {
	f, _ := large(b)
	for b.Loop() {
		if err := f.resync(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkChange takes one release over.
func BenchmarkChange(b *testing.B) {
	f, s := large(b)
	if err := f.resync(context.Background()); err != nil {
		b.Fatal(err)
	}
	op, err := f.signer.Op(document.LiveKey("target00007.example.org"), 1, releaseOf(7), nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	revision := s.Revision()
	for b.Loop() {
		revision++
		d := view.NewDelta()
		f.mu.Lock()
		f.view.Change(engine.Change{Key: op.Key, Value: op.Value, Revision: revision}, f.now(), &d)
		f.apply(d)
		f.mu.Unlock()
	}
}

// BenchmarkReport decides whether there is anything to report.
func BenchmarkReport(b *testing.B) {
	f, _ := large(b)
	if err := f.resync(context.Background()); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		f.mu.Lock()
		_, due := f.report()
		f.mu.Unlock()
		if due {
			b.Fatal("there is")
		}
	}
}

// BenchmarkWiden decides on a release with 200 nodes.
func BenchmarkWiden(b *testing.B) {
	f, _ := large(b)
	if err := f.resync(context.Background()); err != nil {
		b.Fatal(err)
	}
	r := *f.view.Releases["target00007.example.org"]
	r.All, r.Nodes = false, []string{"node000"}
	for b.Loop() {
		f.mu.Lock()
		nodes := f.progress("target00007.example.org", &r)
		wave.Next(f.now(), f.Rules, r.Release, nodes, false, time.Time{})
		f.mu.Unlock()
	}
}
