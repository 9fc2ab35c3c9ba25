package acme_test

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"keypaird/acme"
	"keypaird/acme/acmetest"
)

// A CA that goes away within an order is waited for as long as it may restart, not
// until the end of the order. The order is kept, and the next run resumes it.
func TestCAGoesAway(t *testing.T) {
	t.Parallel()
	s := newFaultNet(t)
	for _, tt := range []struct{ name, path, what string }{
		{"after the challenge was posted", acmetest.PathChallenge, "validating "},
		{"after the order was finalized", acmetest.PathFinalize, "issuing"},
	} {
		for _, way := range []struct {
			name  string
			fault acmetest.Fault
		}{
			{"closes connections", acmetest.Instead("", -1, acmetest.Reset())},
			{"answers 503", acmetest.Instead("", -1, acmetest.Problem{})},
		} {
			s.each(t, tt.name+", "+way.name, func(t *testing.T, sh *proxiedClient) {
				sh.setFault(tt.path, func(next http.Handler) http.Handler {
					return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						next.ServeHTTP(w, r)
						sh.proxy.Set(way.fault)
					})
				})
				c := start(t, sh.options)
				acme.SetPatience(c, time.Second)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				_, err := c.Obtain(ctx, sh.req)
				if err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), "not answered for 1s: pebble: ") {
					t.Fatalf("error = %v, want one within seconds", err)
				}
				if remedyOf(err) == "" {
					t.Errorf("no remedy: %v", err)
				}
				sh.proxy.Set(nil)
				sh.wantCertificate(t, c, "", 1)
				if n := sh.traffic.granted(acmetest.PathNewOrder); n != 1 {
					t.Errorf("%d orders, want 1", n)
				}
			})
		}
	}
	s.wg.Wait()
}

// A CA that answers now and then, and is slow, is waited for.
func TestCAFalters(t *testing.T) {
	var asked atomic.Bool
	var n atomic.Int64
	g := newFixture(t, acmetest.Options{AuthzReuse: -1, Wrap: func(next http.Handler) http.Handler {
		faulty := acmetest.Problem{}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case strings.HasPrefix(r.URL.Path, acmetest.PathChallenge):
				asked.Store(true)
			case asked.Load() && strings.HasPrefix(r.URL.Path, acmetest.PathAuthz) && n.Add(1)%4 != 0:
				faulty.ServeHTTP(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	}})
	c := g.client(t)
	acme.SetPatience(c, 2*time.Second)
	if _, err := c.Obtain(t.Context(), g.request("a.test")); err != nil || n.Load() == 0 {
		t.Fatal(err, n.Load())
	}
}
