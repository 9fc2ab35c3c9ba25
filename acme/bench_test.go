package acme_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-acme/lego/v4/acme/api"

	"keypaird/acme"
	"keypaird/acme/acmetest"
	"keypaird/renew/keypair"
)

// BenchmarkOrder measures one http-01 order against Pebble beside the bare loop
// over api.Core: the floor. wanted is at most 1.5 times the floor.
func BenchmarkOrder(b *testing.B) {
	for _, real := range []bool{false, true} {
		o := acmetest.Options{NonceReject: -1}
		kind := "pebble"
		if real {
			kind = "realistic" // 50 ms RTT, 1 s to validate, 1 s to finalize
			o.Wrap = acmetest.Slow{RTT: 50 * time.Millisecond, Validate: time.Second, Finalize: time.Second}.Wrap
		}
		b.Run(kind+"/floor", func(b *testing.B) {
			g := newFixture(b, o)
			core, tokens := floor(b, g)
			for i := 0; b.Loop(); i++ {
				if err := acmetest.Floor(b.Context(), core, tokens, []string{fmt.Sprintf("f%d.test", i)}, 1); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(kind+"/keypaird", func(b *testing.B) {
			g := newFixture(b, o)
			c := g.unbounded(b)
			if _, err := c.Account(b.Context()); err != nil {
				b.Fatal(err)
			}
			for i := 0; b.Loop(); i++ {
				if _, err := c.Obtain(b.Context(), g.request(fmt.Sprintf("k%d.test", i))); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkApexAndWildcard is an order for two names with one challenge name: it waits for
// the propagation of both records at the same time.
func BenchmarkApexAndWildcard(b *testing.B) {
	const propagation = time.Second
	g := newFixture(b, acmetest.Options{NonceReject: -1, AuthzReuse: -1})
	c := g.unbounded(b)
	if _, err := c.Account(b.Context()); err != nil {
		b.Fatal(err)
	}
	slow := solverFunc(func(ctx context.Context, c acme.Challenge, validate func(context.Context) error) error {
		return g.byDNS().Solver.Solve(ctx, c, func(ctx context.Context) error {
			time.Sleep(propagation)
			return validate(ctx)
		})
	})
	for i := 0; b.Loop(); i++ {
		req := g.request(fmt.Sprintf("*.w%d.test", i), fmt.Sprintf("w%d.test", i))
		for name := range req.Methods {
			req.Methods[name] = acme.Method{Type: acme.DNS01, Solver: slow}
		}
		if _, err := c.Obtain(b.Context(), req); err != nil {
			b.Fatal(err)
		}
	}
	each := b.Elapsed() / time.Duration(b.N)
	b.ReportMetric(each.Seconds()/propagation.Seconds(), "propagations/order")
	if each > 2*propagation {
		b.Errorf("an order takes %v, propagation %v", each, propagation)
	}
}

// BenchmarkMany measures 500 orders by 16 workers, stores included, beside the
// bare loop, which stores nothing. wanted is 0.7 of its rate.
// Ours makes eleven files and directories for each certificate: on a file system
// where that is slow, TMPDIR=/dev/shm shows what is left without it.
func BenchmarkMany(b *testing.B) {
	const orders, workers = 500, 16
	names := make([]string, orders)
	for i := range names {
		names[i] = fmt.Sprintf("m%d.test", i)
	}
	b.Run("floor", func(b *testing.B) {
		for range b.N {
			b.StopTimer()
			g := newFixture(b, acmetest.Options{NonceReject: -1})
			core, tokens := floor(b, g)
			b.StartTimer()
			if err := acmetest.Floor(b.Context(), core, tokens, names, workers); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(orders*float64(b.N)/b.Elapsed().Seconds(), "certs/s")
	})
	b.Run("keypaird", func(b *testing.B) {
		for range b.N {
			b.StopTimer()
			g := newFixture(b, acmetest.Options{NonceReject: -1})
			c := g.unbounded(b)
			if _, err := c.Account(b.Context()); err != nil {
				b.Fatal(err)
			}
			store, err := keypair.Open(filepath.Join(g.dir, "state"))
			if err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
			if err := many(b.Context(), g, c, store, names, workers); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(orders*float64(b.N)/b.Elapsed().Seconds(), "certs/s")
	})
}

func many(ctx context.Context, g *fixture, c *acme.Client, store *keypair.Store, names []string, workers int) error {
	var next atomic.Int64
	errs := make(chan error, workers)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(names) {
					return
				}
				pair, err := c.Obtain(ctx, g.request(names[i]))
				if err == nil {
					var v keypair.Version
					if v, err = store.Add(names[i], pair); err == nil {
						err = store.SetLive(names[i], v)
					}
				}
				if err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	return <-errs
}

func floor(b *testing.B, g *fixture) (core *api.Core, tokens *acmetest.Tokens) {
	b.Helper()
	tokens, err := acmetest.StartTokens(g.ca.HTTPPort)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { tokens.Close() })
	core, err = acmetest.NewCore(g.ca)
	if err != nil {
		b.Fatal(err)
	}
	return core, tokens
}

// unbounded returns a client without a limit of orders.
func (g *fixture) unbounded(b *testing.B) *acme.Client {
	b.Helper()
	o := g.options(b)
	o.CA.Orders = 1 << 30
	return start(b, o)
}
