package acme_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"keypaird/acme"
	"keypaird/acme/acmetest"
)

// A killer ends a client at its k-th request: once the CA has done what was
// asked, and before it answers.
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

// Whatever the request after which we were killed, the next run ends with a
// pair, with at most one more order and never with a second certificate.
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
	g := newGround(t, acmetest.Options{AuthzReuse: -1, Wrap: func(next http.Handler) http.Handler { return kl.wrap(tr.wrap(next)) }})
	req := g.request("a.test", "b.test")
	req.KeyType, req.Pending = keyType, filepath.Join(g.dir, "state", "pending")
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

// restore puts dir back to what was saved. Files that are private are copied
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

// What is on disk of an order decides whether it is gone on with.
func TestOrderUnderWay(t *testing.T) {
	set := func(key string, value any) func(t *testing.T, req *acme.Request) {
		return func(t *testing.T, req *acme.Request) {
			t.Helper()
			path := filepath.Join(req.Pending, "order.json")
			var o map[string]any
			if err := json.Unmarshal(readFile(t, path), &o); err != nil {
				t.Fatal(err)
			}
			if o[key] == nil {
				t.Fatalf("no %s in %s", key, path)
			}
			o[key] = value
			data, err := json.Marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, req *acme.Request)
		orders int
	}{
		{"all is there", func(*testing.T, *acme.Request) {}, 1},
		{"the key is lost", set("key", ""), 2},
		{"the key is damaged", set("key", "-----BEGIN"), 2},
		{"half a file", func(t *testing.T, req *acme.Request) {
			if err := os.Truncate(filepath.Join(req.Pending, "order.json"), 60); err != nil {
				t.Fatal(err)
			}
		}, 2},
		{"an empty file", func(t *testing.T, req *acme.Request) {
			if err := os.Truncate(filepath.Join(req.Pending, "order.json"), 0); err != nil {
				t.Fatal(err)
			}
		}, 2},
		{"the directory is gone", func(t *testing.T, req *acme.Request) {
			if err := acme.Forget(req.Pending); err != nil {
				t.Fatal(err)
			}
		}, 2},
		{"of another account", set("account", "https://other.test/acct/1"), 2},
		{"at another CA", set("directory", "https://other.test/dir"), 2},
		{"for other names", func(_ *testing.T, req *acme.Request) { req.Names = append(req.Names, "b.test") }, 2},
		{"for another key type", func(_ *testing.T, req *acme.Request) { req.KeyType = "ec384" }, 2},
		{"for another profile", func(_ *testing.T, req *acme.Request) { req.Profile = "default" }, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var tr traffic
			g := newGround(t, acmetest.Options{Wrap: tr.wrap})
			if _, err := g.client(t).Obtain(t.Context(), g.request("a.test")); err != nil {
				t.Fatal(err)
			}
			req := g.request("a.test", "b.test")
			req.Names = req.Names[:1]
			tt.change(t, &req)
			pair, err := g.client(t).Obtain(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			if got := tr.granted(acmetest.PathNewOrder); got != tt.orders || pair.KeyType() != req.KeyType {
				t.Errorf("%d orders for an %s key, want %d for %s", got, pair.KeyType(), tt.orders, req.KeyType)
			}
		})
	}
}

// An order that the CA has forgotten is placed anew.
func TestOrderForgottenByCA(t *testing.T) {
	g := newGround(t, acmetest.Options{})
	req := g.request("a.test")
	if _, err := g.client(t).Obtain(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(req.Pending, "order.json")
	data := strings.Replace(string(readFile(t, path)), acmetest.PathOrder, acmetest.PathOrder+"no", 1)
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := g.client(t).Obtain(t.Context(), req); err != nil {
		t.Fatal(err)
	}
}

// What the CA still holds against the order of a killed run is no failure of
// the run that resumes it.
func TestOrderSpoiltBeforeTheKill(t *testing.T) {
	var tr traffic
	slow := acmetest.Slow{Validate: 300 * time.Millisecond}
	g := newGround(t, acmetest.Options{AuthzReuse: -1, Wrap: func(next http.Handler) http.Handler { return slow.Wrap(tr.wrap(next)) }})
	ctx, cancel := context.WithCancel(t.Context())
	req := g.request("a.test")
	req.Proofs["a.test"] = acme.Proof{Type: acme.HTTP01, Prover: proverFunc(func(ctx context.Context, _ acme.Challenge, validate func(context.Context) error) error {
		time.AfterFunc(100*time.Millisecond, cancel)
		return validate(ctx) // with nothing published
	})}
	if _, err := g.client(t).Obtain(ctx, req); !errors.Is(err, context.Canceled) {
		t.Fatalf("error = %v, want context canceled", err)
	}
	if _, err := g.client(t).Obtain(t.Context(), g.request("a.test")); err != nil {
		t.Fatal(err)
	}
	if n := tr.granted(acmetest.PathNewOrder); n != 2 || !strings.Contains(g.log.String(), "resumed in vain") {
		t.Errorf("%d orders, want 2, the second after the first was resumed in vain", n)
	}
}

// Without a safe place for its key no certificate is asked for, even if the CA
// wants no proof first.
func TestPendingThatCannotBeWritten(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(dir string) error
		want  string
	}{
		{"a link that leads nowhere", func(dir string) error { return os.Symlink(dir+".gone", dir) }, "keeping the order"},
		{"a file in its place", func(dir string) error { return os.WriteFile(dir, nil, 0o600) }, "reading the order under way"},
		{"a directory in place of the file", func(dir string) error { return os.MkdirAll(filepath.Join(dir, "order.json"), 0o700) }, "not a regular file"},
		{"others can write it", func(dir string) error {
			if err := os.Mkdir(dir, 0o700); err != nil {
				return err
			}
			return os.Chmod(dir, 0o777)
		}, "can be written by everyone"},
	} {
		for _, proven := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, proven before: %v", tt.name, proven), func(t *testing.T) {
				var tr traffic
				g := newGround(t, acmetest.Options{AuthzReuse: 100, Wrap: tr.wrap})
				req := g.request("a.test")
				before := req
				if before.Pending = filepath.Join(g.dir, "before"); proven {
					if _, err := g.client(t).Obtain(t.Context(), before); err != nil {
						t.Fatal(err)
					}
				}
				asked := tr.asked(acmetest.PathFinalize)
				if err := tt.spoil(req.Pending); err != nil {
					t.Fatal(err)
				}
				_, err := g.client(t).Obtain(t.Context(), req)
				wantError(t, err, tt.want, "")
				if n := tr.asked(acmetest.PathFinalize) - asked; n != 0 {
					t.Errorf("asked for a certificate %d times", n)
				}
			})
		}
	}
}

// A CA that does not want to hear of the certificate to replace still gives one.
func TestReplacesRefused(t *testing.T) {
	g := newGround(t, acmetest.Options{})
	req := g.request("a.test")
	req.Replaces = "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"
	if _, err := g.client(t).Obtain(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(g.log.String(), "replaces refused") {
		t.Error("the CA was not told what is replaced, or took it")
	}
}
