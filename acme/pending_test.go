package acme_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"keypaird/acme"
	"keypaird/acme/acmetest"
)

// The saved order decides whether it is resumed.
func TestPendingOrder(t *testing.T) {
	set := func(key string, value any) func(t *testing.T, req *acme.Request) {
		return func(t *testing.T, req *acme.Request) {
			t.Helper()
			path := orderFile(req.Pending)
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
		name    string
		change  func(t *testing.T, req *acme.Request)
		orders  int
		damaged int // warnings
	}{
		{"all is there", func(*testing.T, *acme.Request) {}, 1, 0},
		{"the key is lost", set("key", ""), 2, 0},
		{"the key is damaged", set("key", "-----BEGIN"), 2, 0},
		{"half a file", func(t *testing.T, req *acme.Request) {
			if err := os.Truncate(orderFile(req.Pending), 60); err != nil {
				t.Fatal(err)
			}
		}, 2, 1},
		{"an empty file", func(t *testing.T, req *acme.Request) {
			if err := os.Truncate(orderFile(req.Pending), 0); err != nil {
				t.Fatal(err)
			}
		}, 2, 1},
		{"the directory is gone", func(t *testing.T, req *acme.Request) {
			if err := req.Pending.Clear(); err != nil {
				t.Fatal(err)
			}
		}, 2, 0},
		{"of another account", set("account", "https://other.test/acct/1"), 2, 0},
		{"at another CA", set("directory", "https://other.test/dir"), 2, 0},
		{"for other names", func(_ *testing.T, req *acme.Request) { req.Names = append(req.Names, "b.test") }, 2, 0},
		{"for another key type", func(_ *testing.T, req *acme.Request) { req.KeyType = "ec384" }, 2, 0},
		{"for another profile", func(_ *testing.T, req *acme.Request) { req.Profile = "default" }, 2, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var tr traffic
			g := newFixture(t, acmetest.Options{Wrap: tr.wrap})
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
			if warned := strings.Count(g.log.String(), `msg="saved order damaged, placing another"`); warned != tt.damaged {
				t.Errorf("warned %d times of the damage, want %d: %s", warned, tt.damaged, g.log.String())
			}
			if got := tr.granted(acmetest.PathNewOrder); got != tt.orders || pair.KeyType() != req.KeyType {
				t.Errorf("%d orders for an %s key, want %d for %s", got, pair.KeyType(), tt.orders, req.KeyType)
			}
		})
	}
}

// An order that the CA does not know is placed again. It is so old that no replica
// can lag.
func TestOrderForgottenByCA(t *testing.T) {
	g := newFixture(t, acmetest.Options{})
	req := g.request("a.test")
	if _, err := g.client(t).Obtain(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	path := orderFile(req.Pending)
	data := strings.Replace(string(readFile(t, path)), acmetest.PathOrder, acmetest.PathOrder+"no", 1)
	data = regexp.MustCompile(`"begun": "[^"]*"`).ReplaceAllString(data, `"begun": "2000-01-01T00:00:00Z"`)
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := g.client(t).Obtain(t.Context(), req); err != nil {
		t.Fatal(err)
	}
}

// IsStored knows the order of a stored certificate from others.
func TestIsStored(t *testing.T) {
	g := newFixture(t, acmetest.Options{})
	req, other := g.request("a.test"), g.request("b.test")
	pair, err := g.client(t).Obtain(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.client(t).Obtain(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	want := func(store acme.OrderStore, want bool) {
		t.Helper()
		if is, err := acme.IsStored(store, pair.Leaf); is != want || err != nil {
			t.Errorf("stored: %v, %v; want %v", is, err, want)
		}
	}
	want(req.Pending, true)
	want(other.Pending, false)
	for range 2 { // the second time there is nothing left
		if err := req.Pending.Clear(); err != nil {
			t.Error(err)
		}
		want(req.Pending, false)
	}
}

// An invalid order of a killed run does not fail the run that resumes it.
func TestResumedOrderIsInvalid(t *testing.T) {
	var tr traffic
	slow := acmetest.Slow{Validate: 300 * time.Millisecond}
	g := newFixture(t, acmetest.Options{AuthzReuse: -1, Wrap: func(next http.Handler) http.Handler { return slow.Wrap(tr.wrap(next)) }})
	ctx, cancel := context.WithCancel(t.Context())
	req := g.request("a.test")
	req.Methods["a.test"] = acme.Method{Type: acme.HTTP01, Solver: solverFunc(func(ctx context.Context, _ acme.Challenge, validate func(context.Context) error) error {
		time.AfterFunc(100*time.Millisecond, cancel)
		return validate(ctx) // with nothing published
	})}
	if _, err := g.client(t).Obtain(ctx, req); !errors.Is(err, context.Canceled) {
		t.Fatalf("error = %v, want context canceled", err)
	}
	if _, err := g.client(t).Obtain(t.Context(), g.request("a.test")); err != nil {
		t.Fatal(err)
	}
	if n := tr.granted(acmetest.PathNewOrder); n != 2 || !strings.Contains(g.log.String(), "resumed order failed, starting over") {
		t.Errorf("%d orders, want 2, the second after the first failed", n)
	}
}

// Nothing is ordered or finalized if the order and its key cannot be saved, even if the
// CA needs no challenge.
func TestPendingNotWritable(t *testing.T) {
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
				g := newFixture(t, acmetest.Options{AuthzReuse: 100, Wrap: tr.wrap})
				req := g.request("a.test")
				other := req
				if other.Pending = acme.OrderDir(filepath.Join(g.dir, "before")); proven {
					if _, err := g.client(t).Obtain(t.Context(), other); err != nil {
						t.Fatal(err)
					}
				}
				asked := func() int { return tr.asked(acmetest.PathNewOrder) + tr.asked(acmetest.PathFinalize) }
				before := asked()
				if err := tt.spoil(filepath.Dir(orderFile(req.Pending))); err != nil {
					t.Fatal(err)
				}
				_, err := g.client(t).Obtain(t.Context(), req)
				wantError(t, err, tt.want, "")
				if n := asked() - before; n != 0 {
					t.Errorf("asked for an order or a certificate %d times", n)
				}
			})
		}
	}
}

// The file that is written before an order is placed is removed if the order fails, and
// ignored after a kill.
func TestOrderThatIsNotPlaced(t *testing.T) {
	var down atomic.Bool
	g := newFixture(t, acmetest.Options{Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if down.Load() && strings.HasPrefix(r.URL.Path, acmetest.PathNewOrder) {
				http.Error(w, "no", http.StatusTeapot)
				return
			}
			next.ServeHTTP(w, r)
		})
	}})
	req := g.request("a.test")
	var kept string
	req.Step = func(string) { kept = savedOrder(req) }
	down.Store(true)
	if _, err := g.client(t).Obtain(t.Context(), req); err == nil || savedOrder(req) != "none" || !strings.Contains(kept, `"a.test"`) {
		t.Errorf("error %v, kept before: %q, and after: %q", err, kept, savedOrder(req))
	}
	down.Store(false)
	if err := os.MkdirAll(filepath.Dir(orderFile(req.Pending)), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(orderFile(req.Pending), []byte(kept), 0o600); err != nil {
		t.Fatal(err)
	}
	req.Step = nil
	if _, err := g.client(t).Obtain(t.Context(), req); err != nil {
		t.Error(err)
	}
	if strings.Contains(g.log.String(), "resumed") {
		t.Error("it was resumed")
	}
}
