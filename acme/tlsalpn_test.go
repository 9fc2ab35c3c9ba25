package acme_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"keypaird/acme"
	"keypaird/acme/acmetest"
	"keypaird/acme/tlsalpn01"
)

// tlsSolver returns a solver on the port where the CA validates tls-alpn-01.
func (g *fixture) tlsSolver(t *testing.T) *tlsalpn01.Solver {
	s := &tlsalpn01.Solver{Dir: filepath.Join(g.dir, "tls-alpn-01"), Listen: "127.0.0.1:" + strconv.Itoa(g.ca.TLSPort), Log: slog.New(slog.DiscardHandler)}
	t.Cleanup(s.Close)
	return s
}

// One certificate for names that are validated by http-01, and others, and an address,
// by tls-alpn-01.
func TestTLSALPN(t *testing.T) {
	g := newFixture(t, acmetest.Options{TLSPort: freePort(t), AuthzReuse: -1})
	s := g.tlsSolver(t)
	req := g.request("a.test", "b.test", "c.test", "127.0.0.1")
	for _, name := range req.Names[1:] {
		req.Methods[name] = acme.Method{Type: acme.TLSALPN01, Solver: s}
	}
	if _, err := g.client(t).Obtain(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(s.Dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// Orders that have names in common take turns at each name, and all end.
func TestTLSALPNTakesTurns(t *testing.T) {
	g := newFixture(t, acmetest.Options{TLSPort: freePort(t), AuthzReuse: -1})
	s, c := g.tlsSolver(t), g.client(t)
	var orders sync.WaitGroup
	for i := range 6 {
		orders.Go(func() {
			names := []string{"a.test", "b.test", fmt.Sprintf("n%d.test", i)}
			if i%2 == 1 {
				names[0], names[1] = names[1], names[0]
			}
			req := g.request(names...)
			req.Pending = acme.OrderDir(filepath.Join(g.dir, fmt.Sprint("pending-", i)))
			for _, name := range names {
				req.Methods[name] = acme.Method{Type: acme.TLSALPN01, Solver: s}
			}
			if _, err := c.Obtain(t.Context(), req); err != nil {
				t.Error(err)
			}
		})
	}
	orders.Wait()
}
