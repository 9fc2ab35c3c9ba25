package node

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"keypaird/acme"
	"keypaird/acme/dns01"
	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/engine"
)

// presentedTXT is the record of a challenge for a name.
func presentedTXT(name string) dns01.Presented {
	token := strings.Repeat(name[:1], 43)
	return dns01.Presented{Account: "ns", FQDN: "_acme-challenge." + name + ".", Value: token[1:] + "v", Domain: name, Token: token, KeyAuth: token + "." + strings.Repeat("k", 43)}
}

// noted is how many records the engine has.
func (w *machines) noted(want int) {
	w.t.Helper()
	s, err := w.server.Client("observer").Read(w.t.Context(), document.KindTXT.Prefix())
	if err != nil || len(s.Entries) != want {
		w.t.Errorf("%d records are noted, want %d (%v)", len(s.Entries), want, err)
	}
}

// The node that sits next removes the records of the one that died, once each.
func TestLeftRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMachines(t, "a", "b")
		a, b := w.start("a", t.TempDir(), "a", "b"), w.start("b", t.TempDir(), "a", "b")
		time.Sleep(5 * time.Second)
		ok(t, a.begin())
		if _, err := b.NoteTXT(t.Context(), presentedTXT("b.example")); !errors.Is(err, acme.ErrNotPermitted) {
			t.Errorf("noted by a node that does not sit: %v", err)
		}
		removed, err := a.NoteTXT(t.Context(), presentedTXT("x.example"))
		ok(t, err)
		w.noted(1)
		removed()
		w.noted(0)
		left := map[string]dns01.Presented{}
		for _, name := range []string{"x.example", "y.example"} {
			left[name] = presentedTXT(name)
			_, err := a.NoteTXT(t.Context(), left[name])
			ok(t, err)
		}
		a.client.Kill()
		time.Sleep(40 * time.Second)
		var mu sync.Mutex
		var tried []string
		b.remove = func(_ context.Context, r dns01.Presented) error {
			mu.Lock()
			defer mu.Unlock()
			tried = append(tried, r.Domain)
			if r != left[r.Domain] {
				t.Errorf("removed %+v, want %+v", r, left[r.Domain])
			}
			if r.Domain == "y.example" {
				return errors.New("the provider has no such record")
			}
			return nil
		}
		ok(t, b.begin())
		w.noted(1) // what failed
		if len(tried) != 2 {
			t.Errorf("removed %q", tried)
		}
		b.End()
		ok(t, b.begin())
		b.End()
		if b.stop(); len(tried) != 2 {
			t.Errorf("removed again: %q", tried)
		}
	})
}

// What fails is tried again by the node that sits next, until the note is a day old.
func TestLeftRecordRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMachines(t, "a", "b")
		dir := t.TempDir()
		a, b := w.start("a", dir, "a", "b"), w.start("b", t.TempDir(), "a", "b")
		time.Sleep(5 * time.Second)
		ok(t, a.begin())
		_, err := a.NoteTXT(t.Context(), presentedTXT("x.example"))
		ok(t, err)
		a.stop()
		tried := 0
		refuse := func(context.Context, dns01.Presented) error {
			tried++
			return errors.New("the provider is away")
		}
		time.Sleep(time.Minute)
		b.remove = refuse
		ok(t, b.begin())
		b.stop()
		if w.noted(1); tried != 1 {
			t.Errorf("tried %d times, want once", tried)
		}
		time.Sleep(23 * time.Hour)
		a = w.start("a", dir, "a", "b")
		time.Sleep(5 * time.Second)
		a.remove = refuse
		ok(t, a.begin())
		a.stop()
		if w.noted(1); tried != 2 {
			t.Errorf("tried %d times, want twice", tried)
		}
		time.Sleep(time.Hour)
		a = w.start("a", dir, "a", "b")
		time.Sleep(5 * time.Second)
		a.remove = refuse
		ok(t, a.begin())
		if w.noted(0); tried != 2 {
			t.Errorf("a note that is a day old was tried: %d", tried)
		}
	})
}

// Many records are removed, a few at once.
func TestManyLeftRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMachines(t, "a", "b")
		a, b := w.start("a", t.TempDir(), "a", "b"), w.start("b", t.TempDir(), "a", "b")
		time.Sleep(5 * time.Second)
		ok(t, a.begin())
		for c := 'a'; c < 'a'+20; c++ {
			_, err := a.NoteTXT(t.Context(), presentedTXT(string(c)+".example"))
			ok(t, err)
		}
		a.client.Kill()
		time.Sleep(40 * time.Second)
		var now, most, all atomic.Int32
		b.remove = func(context.Context, dns01.Presented) error {
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(time.Second)
			now.Add(-1)
			all.Add(1)
			return nil
		}
		ok(t, b.begin())
		if w.noted(0); most.Load() != 8 || all.Load() != 20 {
			t.Errorf("removed %d, %d at once", all.Load(), most.Load())
		}
	})
}

// A note of a node that may not order removes nothing.
func TestForgedRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMachines(t, "a", "edge")
		forged := w.start("edge", t.TempDir(), "edge") // by its own file it may order
		time.Sleep(5 * time.Second)
		token := strings.Repeat("t", 43)
		op, err := forged.op(document.TXTKey(token), document.TXT{Account: "ns", FQDN: "f.", Value: token, Domain: "d", Token: token, KeyAuthorization: token + "." + token}, nil)
		ok(t, err)
		_, err = forged.client.Commit(t.Context(), nil, []engine.Op{op})
		ok(t, err)
		forged.stop()
		time.Sleep(time.Minute)
		a := w.start("a", t.TempDir(), "a")
		time.Sleep(5 * time.Second)
		a.remove = func(_ context.Context, r dns01.Presented) error { t.Errorf("removed %+v", r); return nil }
		ok(t, a.begin())
	})
}
