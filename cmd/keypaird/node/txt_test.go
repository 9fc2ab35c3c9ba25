package node

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"keypaird/acme"
	"keypaird/acme/dns01"
	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/engine"
)

// The node that sits next removes the records of the one that died, once each.
func TestLeftRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMachines(t, "a", "b")
		a, b := w.start("a", t.TempDir(), "a", "b"), w.start("b", t.TempDir(), "a", "b")
		time.Sleep(5 * time.Second)
		ok(t, a.begin())
		presented := func(name string) dns01.Presented {
			token := strings.Repeat(name[:1], 43)
			return dns01.Presented{Account: "ns", FQDN: "_acme-challenge." + name + ".", Value: token[1:] + "v", Domain: name, Token: token, KeyAuth: token + "." + strings.Repeat("k", 43)}
		}
		there := func(want int) {
			t.Helper()
			s, err := w.server.Client("observer").Read(t.Context(), document.KindTXT.Prefix())
			if err != nil || len(s.Entries) != want {
				t.Errorf("%d records are noted, want %d (%v)", len(s.Entries), want, err)
			}
		}
		if _, err := b.NoteTXT(t.Context(), presented("b.example")); !errors.Is(err, acme.ErrNotPermitted) {
			t.Errorf("noted by a node that does not sit: %v", err)
		}
		removed, err := a.NoteTXT(t.Context(), presented("x.example"))
		ok(t, err)
		there(1)
		removed()
		there(0)
		left := map[string]dns01.Presented{}
		for _, name := range []string{"x.example", "y.example"} {
			left[name] = presented(name)
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
		there(0)
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
