package acme_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"keypaird/acme"
	"keypaird/acme/acmetest"
	"keypaird/acme/orderlog"
)

// The CA is not asked for a third certificate.
func TestOrderLimit(t *testing.T) {
	var tr traffic
	g := newFixture(t, acmetest.Options{Wrap: tr.wrap})
	obtain := func(req acme.Request) error {
		_, err := g.client(t).Obtain(t.Context(), req) // by a new process each time
		if err == nil {
			err = req.Pending.Clear()
		}
		return err
	}
	for i := range 10 {
		err := obtain(g.request("a.test", "b.test"))
		if i < 2 {
			if err != nil {
				t.Fatal(err)
			}
			continue
		}
		wantError(t, err, "ordering: pebble: own limit reached: 2 certificates", "keypaird issue -force")
		var b *orderlog.RateLimitError
		if !errors.As(err, &b) || b.Next.Before(time.Now().Add(23*time.Hour)) || b.Next.After(time.Now().Add(24*time.Hour)) {
			t.Errorf("next at %v, want a day from now", b.Next)
		}
		if acme.TryNextCA(err) || acme.CAWide(err) {
			t.Error("another CA is tried, or other names are not ordered")
		}
	}
	if n := tr.asked(acmetest.PathNewOrder); n != 2 {
		t.Errorf("the CA was asked for %d orders", n)
	}
	if err := obtain(g.request("b.test", "a.test")); err == nil {
		t.Error("the same names in another order are not the same")
	}
	if err := obtain(g.request("a.test")); err != nil {
		t.Errorf("other names: %v", err)
	}
	forced := g.request("a.test", "b.test")
	forced.Forced = true
	if err := obtain(forced); err != nil {
		t.Errorf("forced: %v", err)
	}
}

// A forced order is resumed by the next run, forced or not.
func TestForcedOrderIsResumed(t *testing.T) {
	s := newFaultNet(t)
	sh := s.proxiedClient(t)
	for range 2 {
		if _, err := start(t, sh.options).Obtain(t.Context(), sh.req); err != nil {
			t.Fatal(err)
		}
		if err := sh.req.Pending.Clear(); err != nil {
			t.Fatal(err)
		}
	}
	sh.setFault(acmetest.PathFinalize, acmetest.Say(503, "", "Retry-After: 60"))
	forced := sh.req
	forced.Forced = true
	began := time.Now()
	_, err := start(t, sh.options).Obtain(t.Context(), forced)
	wantError(t, err, "finalizing: pebble: http status 503", "the CA has a fault")
	if time.Since(began) > 30*time.Second {
		t.Error("waited although there was a minute to wait")
	}
	sh.proxy.Set(nil)
	sh.wantCertificate(t, start(t, sh.options), "", 3)
}

// The limit holds for concurrent orders of several processes.
func TestOrderLimitConcurrently(t *testing.T) {
	var tr traffic
	g := newFixture(t, acmetest.Options{Wrap: tr.wrap})
	if _, err := g.client(t).Account(t.Context()); err != nil {
		t.Fatal(err)
	}
	clients := []*acme.Client{g.client(t), g.client(t), g.client(t)}
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			req := g.request("a.test")
			req.Pending = acme.OrderDir(filepath.Join(g.dir, fmt.Sprint("pending-", i)))
			_, err := clients[i%len(clients)].Obtain(t.Context(), req)
			var b *orderlog.RateLimitError
			if err != nil && !errors.As(err, &b) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := tr.granted(acmetest.PathFinalize); n != 2 {
		t.Errorf("%d certificates, want 2", n)
	}
}

// A request that cannot reach the CA does not count.
func TestUnreachableCAIsNotCounted(t *testing.T) {
	s := newFaultNet(t)
	sh := s.proxiedClient(t)
	sh.options.CA.Orders = 3
	c := start(t, sh.options)
	if _, err := c.Account(t.Context()); err != nil {
		t.Fatal(err)
	}
	sh.proxy.Wire(func(net.Conn) {})
	for range 3 {
		var u *acme.UnreachableError
		if _, err := c.Obtain(t.Context(), sh.req); !errors.As(err, &u) {
			t.Fatalf("error = %v, want UnreachableError", err)
		}
	}
	sh.proxy.Wire(nil)
	sh.wantCertificate(t, c, "", 1)
}

// An order that is repeated with a new nonce counts once.
func TestBadNoncesAreNotCounted(t *testing.T) {
	g := newFixture(t, acmetest.Options{NonceReject: 50})
	if _, err := g.client(t).Obtain(t.Context(), g.request("a.test")); err != nil {
		t.Fatal(err)
	}
	log := string(readFile(t, filepath.Join(g.accountDir(), "orders.log")))
	if strings.Count(log, " newOrder ") != 1 || strings.Count(log, " finalize ") != 1 {
		t.Errorf("orders.log = %q, want one order and one certificate", log)
	}
}

// A resumed order does not count again.
func TestResumedOrderIsNotCounted(t *testing.T) {
	var tr traffic
	g := newFixture(t, acmetest.Options{Wrap: tr.wrap})
	for range 5 {
		if _, err := g.client(t).Obtain(t.Context(), g.request("a.test")); err != nil {
			t.Fatal(err)
		}
	}
	if n := tr.granted(acmetest.PathNewOrder); n != 1 {
		t.Errorf("%d orders, want 1", n)
	}
}

// Nothing is ordered if it cannot be noted.
func TestUnusableOrderLog(t *testing.T) {
	for _, kind := range []string{"order", "certificate"} {
		t.Run(kind, func(t *testing.T) {
			var tr traffic
			g := newFixture(t, acmetest.Options{Wrap: tr.wrap})
			if _, err := g.client(t).Account(t.Context()); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(g.accountDir(), "orders.log")
			req := g.request("a.test")
			spoil := func() {
				os.Remove(path)
				if err := os.Mkdir(path, 0o700); err != nil {
					t.Error(err)
				}
			}
			if kind == "order" {
				spoil()
			}
			req.Step = func(step string) {
				if step == "finalizing" {
					spoil()
				}
			}
			_, err := g.client(t).Obtain(t.Context(), req)
			wantError(t, err, "noting the order: writing "+path+": is a directory", "out of the way")
			if acme.TryNextCA(err) {
				t.Error("another CA is tried")
			}
			orders, signed := tr.asked(acmetest.PathNewOrder), tr.asked(acmetest.PathFinalize)
			if signed != 0 || kind == "order" && orders != 0 {
				t.Errorf("%d orders and %d certificates were asked for", orders, signed)
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if _, err := g.client(t).Obtain(t.Context(), g.request("a.test")); err != nil {
				t.Error(err)
			}
			if n := tr.granted(acmetest.PathNewOrder); n != 1 {
				t.Errorf("%d orders, want 1", n)
			}
		})
	}
}
