package enginetest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"keypaird/renew/fleet/engine"
)

// A Harness is an engine to test. Functions that it cannot have are nil: their tests are
// left out.
type Harness struct {
	Client  func(t *testing.T) engine.Engine // another client
	TTL     time.Duration                    // of a lease; keys are gone within twice that and a second
	Compact func(t *testing.T, r engine.Revision)
	// Backup takes a backup; what it returns restores it.
	Backup func(t *testing.T) (restore func())
	// Kill ends a client as if its process were killed.
	Kill func(t *testing.T, e engine.Engine)
	// LoseAnswer makes the next commit of a client happen and its answer get lost.
	LoseAnswer func(t *testing.T, e engine.Engine)
	// Hang keeps the engine from answering until it is called again.
	Hang func(t *testing.T) (resume func())
}

// Run tests an engine.
func Run(t *testing.T, h Harness) {
	for _, test := range []struct {
		name string
		do   func(t *testing.T, h Harness)
		may  bool
	}{
		{"commits", commits, true},
		{"reads", reads, true},
		{"empty values", emptyValues, true},
		{"large reads", largeReads, true},
		{"follows", follows, true},
		{"several prefixes", prefixes, true},
		{"a follow that is resumed", resumed, true},
		{"a future revision", future, true},
		{"compaction", compaction, h.Compact != nil},
		{"concurrent clients", concurrent, true},
		{"contexts", contexts, true},
		{"leases", leases, true},
		{"the end of a lease", leaseEnd, true},
		{"a killed client", killed, h.Kill != nil},
		{"a lost answer", lostAnswer, h.LoseAnswer != nil},
		{"an engine that hangs", hang, h.Hang != nil},
		{"a restore", restore, h.Backup != nil}, // last: what was there is gone
	} {
		if test.may {
			t.Run(test.name, func(t *testing.T) { test.do(t, h) })
		}
	}
}

func set(key, value string) engine.Op       { return engine.Op{Key: key, Value: []byte(value)} }
func is(key, value string) engine.Condition { return engine.Condition{Key: key, Value: []byte(value)} }
func none(key string) engine.Condition      { return engine.Condition{Key: key} }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func commit(t *testing.T, e engine.Engine, do ...engine.Op) engine.Revision {
	t.Helper()
	r, err := e.Commit(t.Context(), nil, do)
	must(t, err)
	return r
}

// read returns what is below a prefix as KEY=VALUE.
func read(t *testing.T, e engine.Engine, prefix string) (list []string) {
	t.Helper()
	s, err := e.Read(t.Context(), prefix)
	must(t, err)
	for _, entry := range s.Entries {
		list = append(list, entry.Key+"="+string(entry.Value))
	}
	return list
}

func equal(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func commits(t *testing.T, h Harness) {
	e := h.Client(t)
	first := commit(t, e, set("c/a", "1"), set("c/b", "1"))
	for _, tt := range []struct {
		conditions []engine.Condition
		fails      string // the key
	}{
		{[]engine.Condition{is("c/a", "1")}, ""},
		{[]engine.Condition{is("c/a", "0")}, "c/a"},
		{[]engine.Condition{none("c/a")}, "c/a"},
		{[]engine.Condition{none("c/none")}, ""},
		{[]engine.Condition{is("c/none", "")}, "c/none"},
		{[]engine.Condition{is("c/a", "1"), is("c/b", "0")}, "c/b"},
		{[]engine.Condition{is("c/a", "1"), is("c/b", "1"), none("c/none")}, ""},
	} {
		last := commit(t, e, set("c/n", "before"))
		_, err := e.Commit(t.Context(), tt.conditions, []engine.Op{set("c/n", "after"), {Key: "c/x"}})
		if tt.fails == "" {
			must(t, err)
			equal(t, read(t, e, "c/n"), "c/n=after")
			continue
		}
		failed, ok := errors.AsType[*engine.ConditionError](err)
		if !ok || failed.Key != tt.fails {
			t.Errorf("%q: %v", tt.conditions, err)
		}
		equal(t, read(t, e, "c/n"), "c/n=before")
		if s, _ := e.Read(t.Context(), "c/n"); s.Entries[0].Revision != last {
			t.Errorf("revision %d, want %d", s.Entries[0].Revision, last)
		}
	}
	second := commit(t, e, set("c/a", "2"), engine.Op{Key: "c/b"})
	if second <= first {
		t.Errorf("revision %d after %d", second, first)
	}
	equal(t, read(t, e, "c/a"), "c/a=2")
	equal(t, read(t, e, "c/b"))
	if same := commit(t, e, engine.Op{Key: "c/b"}); same != second {
		t.Errorf("a commit that changes nothing has revision %d after %d", same, second)
	}
	if _, err := e.Commit(t.Context(), nil, []engine.Op{set("c/a", "3"), set("c/a", "4")}); err == nil {
		t.Error("a key was set twice in a commit")
	}
	equal(t, read(t, e, "c/a"), "c/a=2")
}

func reads(t *testing.T, h Harness) {
	e, other := h.Client(t), h.Client(t)
	last := commit(t, e, set("r/b", "1"), set("r/a", "2"), set("r/c/d", "3"), set("r", "0"), set("s", "0"))
	equal(t, read(t, other, "r/"), "r/a=2", "r/b=1", "r/c/d=3")
	equal(t, read(t, other, "r/none"))
	s, err := other.Read(t.Context(), "r/")
	must(t, err)
	if s.Revision < last || s.Entries[0].Revision != last {
		t.Errorf("read at %d an entry of %d, want %d", s.Revision, s.Entries[0].Revision, last)
	}
}

func emptyValues(t *testing.T, h Harness) {
	e := h.Client(t)
	before := commit(t, e, set("e/a", ""))
	s, err := e.Read(t.Context(), "e/")
	must(t, err)
	if len(s.Entries) != 1 || s.Entries[0].Value == nil {
		t.Errorf("read %v", s.Entries)
	}
	if _, err := e.Commit(t.Context(), []engine.Condition{is("e/a", "")}, []engine.Op{{Key: "e/a"}}); err != nil {
		t.Error(err)
	}
	var got []bool
	next, stop := iter.Pull2(e.Follow(t.Context(), []string{"e/"}, before-1))
	defer stop()
	for range 2 {
		change, err, _ := next()
		must(t, err)
		got = append(got, change.Value == nil)
	}
	if got[0] || !got[1] {
		t.Errorf("deleted: %v", got)
	}
}

// largeReads reads more than comes at once.
func largeReads(t *testing.T, h Harness) {
	e := h.Client(t)
	value := make([]byte, 20<<10)
	want := 0
	for i := range 10 {
		var do []engine.Op
		for j := range 40 {
			do = append(do, engine.Op{Key: fmt.Sprintf("l/%03d", i*40+j), Value: value})
			want++
		}
		commit(t, e, do...)
	}
	s, err := e.Read(t.Context(), "l/")
	must(t, err)
	for i, entry := range s.Entries {
		if entry.Key != fmt.Sprintf("l/%03d", i) || len(entry.Value) != len(value) {
			t.Fatalf("entry %d is %s of %d bytes", i, entry.Key, len(entry.Value))
		}
	}
	if len(s.Entries) != want {
		t.Errorf("%d entries, want %d", len(s.Entries), want)
	}
}

// take returns the next changes as KEY=VALUE, or -KEY.
func take(t *testing.T, next func() (engine.Change, error, bool), n int) (list []string, last engine.Revision) {
	t.Helper()
	for range n {
		change, err, ok := next()
		if !ok || err != nil {
			t.Fatalf("after %q: %v", list, err)
		}
		if change.Revision < last {
			t.Errorf("revision %d after %d", change.Revision, last)
		}
		last = change.Revision
		if change.Value == nil {
			list = append(list, "-"+change.Key)
		} else {
			list = append(list, change.Key+"="+string(change.Value))
		}
	}
	return list, last
}

func follows(t *testing.T, h Harness) {
	e, other := h.Client(t), h.Client(t)
	before := commit(t, e, set("f/a", "0"))
	commit(t, e, set("f/a", "1"), set("f/b", "1"), set("g/c", "1"))
	next, stop := iter.Pull2(other.Follow(t.Context(), []string{"f/"}, before))
	defer stop()
	got, _ := take(t, next, 2)
	equal(t, got, "f/a=1", "f/b=1")
	commit(t, e, set("g/c", "2"))
	commit(t, e, engine.Op{Key: "f/a"})
	last := commit(t, e, set("f/b", "2"))
	got, revision := take(t, next, 2)
	equal(t, got, "-f/a", "f/b=2")
	if revision != last {
		t.Errorf("revision %d, want %d", revision, last)
	}
}

func prefixes(t *testing.T, h Harness) {
	e := h.Client(t)
	before := commit(t, e, set("p/x", "0"))
	next, stop := iter.Pull2(e.Follow(t.Context(), []string{"p/", "q/", "p/a"}, before))
	defer stop()
	for i := range 5 {
		value := fmt.Sprint(i)
		commit(t, e, set("p/a", value), set("q/b", value), set("r/c", value))
	}
	got := map[string][]string{}
	for range 10 {
		change, err, _ := next()
		must(t, err)
		got[change.Key] = append(got[change.Key], string(change.Value))
	}
	for _, key := range []string{"p/a", "q/b"} {
		equal(t, got[key], "0", "1", "2", "3", "4")
	}
}

// resumed stops after each change, and follows again after its revision.
func resumed(t *testing.T, h Harness) {
	e := h.Client(t)
	after := commit(t, e, set("z/0", "x"))
	const n = 20
	go func() {
		for i := range n {
			_, _ = e.Commit(t.Context(), nil, []engine.Op{set("z/a", fmt.Sprint(i))})
		}
	}()
	for i := range n {
		for change, err := range e.Follow(t.Context(), []string{"z/"}, after) {
			must(t, err)
			if string(change.Value) != fmt.Sprint(i) {
				t.Fatalf("got %s, want %d", change.Value, i)
			}
			after = change.Revision
			break
		}
	}
}

func future(t *testing.T, h Harness) {
	e := h.Client(t)
	newest := commit(t, e, set("u/a", "1"))
	for _, err := range e.Follow(t.Context(), []string{"u/"}, newest+1000) {
		if !errors.Is(err, engine.ErrGap) {
			t.Errorf("got %v", err)
		}
		return
	}
}

func compaction(t *testing.T, h Harness) {
	e := h.Client(t)
	before := commit(t, e, set("k/a", "1"))
	next, stop := iter.Pull2(e.Follow(t.Context(), []string{"k/"}, before))
	defer stop()
	commit(t, e, set("k/a", "2"))
	newest := commit(t, e, set("k/a", "3"))
	got, _ := take(t, next, 2)
	equal(t, got, "k/a=2", "k/a=3")
	h.Compact(t, newest)
	for _, err := range e.Follow(t.Context(), []string{"k/"}, before) {
		if !errors.Is(err, engine.ErrGap) {
			t.Errorf("after a compaction: %v", err)
		}
		break
	}
	equal(t, read(t, e, "k/"), "k/a=3")
	commit(t, e, set("k/a", "4"))
	got, _ = take(t, next, 1) // who has seen all goes on
	equal(t, got, "k/a=4")
	for change, err := range e.Follow(t.Context(), []string{"k/"}, newest) {
		must(t, err)
		equal(t, []string{string(change.Value)}, "4")
		break
	}
}

// concurrent counts with a condition, from several clients.
func concurrent(t *testing.T, h Harness) {
	const clients, times = 3, 10
	commit(t, h.Client(t), set("n/count", "0"))
	var all sync.WaitGroup
	var failures atomic.Int32
	for range clients {
		e := h.Client(t)
		for range 2 {
			all.Go(func() {
				for done := 0; done < times; {
					s, err := e.Read(t.Context(), "n/count")
					if err != nil {
						t.Error(err)
						return
					}
					var n int
					_, _ = fmt.Sscan(string(s.Entries[0].Value), &n)
					_, err = e.Commit(t.Context(), []engine.Condition{is("n/count", fmt.Sprint(n))}, []engine.Op{set("n/count", fmt.Sprint(n+1))})
					if _, lost := errors.AsType[*engine.ConditionError](err); lost {
						failures.Add(1)
						continue
					}
					if err != nil {
						t.Error(err)
						return
					}
					done++
				}
			})
		}
	}
	all.Wait()
	equal(t, read(t, h.Client(t), "n/count"), fmt.Sprintf("n/count=%d", 2*clients*times))
	t.Logf("%d conditions did not hold", failures.Load())
}

// contexts: the end of a context ends everything at once.
func contexts(t *testing.T, h Harness) {
	e := h.Client(t)
	after := commit(t, e, set("x/a", "1"))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Commit(ended, nil, []engine.Op{set("x/a", "2")}); !errors.Is(err, context.Canceled) {
		t.Errorf("commit: %v", err)
	}
	if _, err := e.Read(ended, "x/"); !errors.Is(err, context.Canceled) {
		t.Errorf("read: %v", err)
	}
	if _, err := e.Lease(ended, h.TTL); !errors.Is(err, context.Canceled) {
		t.Errorf("lease: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	for _, err := range e.Follow(ctx, []string{"x/none"}, after) {
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("follow: %v", err)
		}
	}
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("a follow ended after %v", d)
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// gone waits until a key is gone.
func gone(t *testing.T, h Harness, e engine.Engine, key string) {
	t.Helper()
	limit := time.Now().Add(2*h.TTL + 5*time.Second)
	for len(read(t, e, key)) > 0 {
		if time.Now().After(limit) {
			t.Fatalf("%s is still there", key)
		}
		time.Sleep(h.TTL / 20)
	}
}

// leases: a lease is renewed by itself, and its keys stay.
func leases(t *testing.T, h Harness) {
	e := h.Client(t)
	asked := time.Now()
	l, err := e.Lease(t.Context(), h.TTL)
	must(t, err)
	first := l.Renewed()
	if first.Before(asked) || first.After(time.Now()) {
		t.Errorf("renewed %v after it was asked for", first.Sub(asked))
	}
	commit(t, e, engine.Op{Key: "v/a", Value: []byte("1"), Lease: l.ID()}, engine.Op{Key: "v/b", Value: []byte("1"), Lease: l.ID()}, set("v/c", "1"))
	commit(t, e, set("v/b", "2")) // has no lease any more
	for end := time.Now().Add(3 * h.TTL); time.Now().Before(end); time.Sleep(h.TTL / 10) {
		if age := time.Since(l.Renewed()); age > h.TTL {
			t.Errorf("renewed %v ago", age)
		}
	}
	if closed(l.Lost()) || !l.Renewed().After(first) {
		t.Errorf("lost %v, renewed %v after the first time", closed(l.Lost()), l.Renewed().Sub(first))
	}
	equal(t, read(t, h.Client(t), "v/"), "v/a=1", "v/b=2", "v/c=1")
	before := commit(t, e, set("v/c", "2"))
	must(t, l.End(t.Context()))
	if !closed(l.Lost()) {
		t.Error("a lease that has ended is not lost")
	}
	equal(t, read(t, e, "v/"), "v/b=2", "v/c=2")
	for change, err := range e.Follow(t.Context(), []string{"v/"}, before) {
		must(t, err)
		if change.Key != "v/a" || change.Value != nil {
			t.Errorf("change %s=%q", change.Key, change.Value)
		}
		break
	}
}

// leaseEnd: a lease that has ended is of no use.
func leaseEnd(t *testing.T, h Harness) {
	e := h.Client(t)
	l, err := e.Lease(t.Context(), h.TTL)
	must(t, err)
	must(t, l.End(t.Context()))
	if _, err := e.Commit(t.Context(), nil, []engine.Op{{Key: "w/a", Value: []byte("1"), Lease: l.ID()}}); err == nil {
		t.Error("a commit with a lease that has ended")
	}
	equal(t, read(t, e, "w/"))
	if err := l.End(t.Context()); err != nil {
		t.Errorf("ended twice: %v", err)
	}
}

// killed: the lease of a killed client is lost there, and its keys are gone in the end.
func killed(t *testing.T, h Harness) {
	e, other := h.Client(t), h.Client(t)
	l, err := e.Lease(t.Context(), h.TTL)
	must(t, err)
	commit(t, e, engine.Op{Key: "y/a", Value: []byte("1"), Lease: l.ID()})
	h.Kill(t, e)
	select {
	case <-l.Lost():
	case <-time.After(h.TTL + time.Second):
		t.Error("the lease is not lost")
	}
	gone(t, h, other, "y/a")
}

func lostAnswer(t *testing.T, h Harness) {
	e, other := h.Client(t), h.Client(t)
	h.LoseAnswer(t, e)
	if _, err := e.Commit(t.Context(), []engine.Condition{none("o/a")}, []engine.Op{set("o/a", "1")}); err == nil {
		t.Error("an answer was not lost")
	} else if _, condition := errors.AsType[*engine.ConditionError](err); condition {
		t.Error("the commit was repeated")
	}
	equal(t, read(t, other, "o/"), "o/a=1")
}

// hang: while the engine does not answer, contexts end requests, and a lease is lost
// before another can have its keys.
func hang(t *testing.T, h Harness) {
	e := h.Client(t)
	l, err := e.Lease(t.Context(), h.TTL)
	must(t, err)
	commit(t, e, engine.Op{Key: "h/a", Value: []byte("1"), Lease: l.ID()})
	resume := h.Hang(t)
	ctx, cancel := context.WithTimeout(t.Context(), h.TTL/2)
	defer cancel()
	began := time.Now()
	if _, err := e.Read(ctx, "h/"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("read: %v", err)
	}
	if d := time.Since(began); d > h.TTL {
		t.Errorf("a read ended after %v", d)
	}
	select {
	case <-l.Lost():
		if d := time.Since(l.Renewed()); d > h.TTL+time.Second/2 {
			t.Errorf("lost %v after it was renewed", d)
		}
	case <-time.After(2 * h.TTL):
		t.Error("the lease is not lost")
	}
	resume()
}

// restore: those who follow learn of it, at once or when they follow again.
func restore(t *testing.T, h Harness) {
	e := h.Client(t)
	commit(t, e, set("b/a", "old"))
	restore := h.Backup(t)
	after := commit(t, e, set("b/a", "new"))
	for range 10 {
		after = commit(t, e, set("b/b", "x"))
	}
	var end error
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var all sync.WaitGroup
	all.Go(func() {
		for change, err := range e.Follow(ctx, []string{"b/"}, after) {
			if end = err; err == nil {
				t.Errorf("change %v", change)
			}
		}
	})
	time.Sleep(500 * time.Millisecond)
	restore()
	all.Wait()
	if !errors.Is(end, engine.ErrGap) {
		t.Errorf("who follows: %v", end)
	}
	equal(t, read(t, e, "b/"), "b/a=old")
	for _, err := range e.Follow(t.Context(), []string{"b/"}, after) {
		if !errors.Is(err, engine.ErrGap) {
			t.Errorf("follow: %v", err)
		}
		break
	}
}
