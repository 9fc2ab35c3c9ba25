package acme_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"keypaird/acme"
	"keypaird/acme/acmetest"
)

// A killer ends a client at its k-th request, after the CA has carried it out and before
// it answers.
type killer struct {
	mu   sync.Mutex
	left int // requests until the end; 0 means that nobody is to be ended
	end  func()
}

func (k *killer) arm(requests int, end func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.left, k.end = requests, end
}

func (k *killer) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := record(next, r)
		k.mu.Lock()
		now := k.left == 1
		if k.left > 0 {
			k.left--
		}
		if now {
			k.end()
		}
		k.mu.Unlock()
		if now {
			<-r.Context().Done()
			return
		}
		replay(w, rec)
	})
}

// After a kill at any request the next run obtains a pair, with at most one more order
// and never with a second certificate.
func TestResumeAtEveryRequest(t *testing.T) {
	for _, tt := range []struct {
		name    string
		keyType string
		kill    bool // what was done after that moment is undone
	}{
		{"interrupted", "ec256", false},
		{"killed", "ec256", true},
		{"killed, with a key that takes long", "rsa2048", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for k, reached := 1, true; reached; k++ {
				reached = resumeAfter(t, k, tt.keyType, tt.kill)
				if k == 100 {
					t.Fatal("an order of a hundred requests")
				}
			}
		})
	}
}

// resumeAfter ends a first client at request k and lets a second one finish. It
// reports whether the first came that far.
func resumeAfter(t *testing.T, k int, keyType string, kill bool) (reached bool) {
	t.Helper()
	var tr traffic
	var kl killer
	g := newFixture(t, acmetest.Options{AuthzReuse: -1, Wrap: func(next http.Handler) http.Handler { return kl.wrap(tr.wrap(next)) }})
	req := g.request("a.test", "b.test")
	req.KeyType, req.Pending = keyType, acme.OrderDir(filepath.Join(g.dir, "state", "pending"))
	o := g.options(t)
	o.Dir = filepath.Join(g.dir, "state", "account")
	state, saved := filepath.Join(g.dir, "state"), filepath.Join(g.dir, "saved")
	g.solver.Dir = filepath.Join(state, "http-01")
	if err := os.MkdirAll(state, 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	kl.arm(k, func() {
		reached = true
		if err := os.CopyFS(saved, os.DirFS(state)); err != nil && !os.IsNotExist(err) { // a temporary file may be renamed meanwhile
			t.Error(err)
		}
		cancel()
	})
	_, err := start(t, o).Obtain(ctx, req)
	kl.arm(0, nil)
	if !reached {
		if err != nil {
			t.Errorf("without an end: %v", err)
		}
		return false
	}
	if err == nil {
		t.Errorf("request %d: nothing was interrupted", k)
	}
	if kill {
		restore(t, state, saved)
	}
	if _, err := start(t, o).Obtain(t.Context(), req); err != nil {
		t.Errorf("request %d: %v", k, err)
	}
	if left, err := filepath.Glob(filepath.Join(g.solver.Dir, "[^.]*")); err != nil || len(left) > 0 {
		t.Errorf("request %d: tokens left behind: %v, %v", k, left, err)
	}
	if orders, certs := tr.granted(acmetest.PathNewOrder), tr.granted(acmetest.PathFinalize); orders > 2 || certs != 1 {
		t.Errorf("request %d: %d orders and %d certificates, want at most 2 and 1\n%v", k, orders, certs, tr.requests)
	}
	return true
}

// restore restores dir to the saved state. Files that are private are copied
// without their mode.
func restore(t *testing.T, dir, saved string) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(saved, dir); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = os.Chmod(path, 0o700)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
