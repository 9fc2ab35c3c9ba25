package acme_test

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"keypaird/acme"
	"keypaird/acme/acmetest"
	"keypaird/acme/http01"
	"keypaird/renew/testutil"
)

// A fixture is a CA, its DNS server, and a solver on the port where it requests tokens.
type fixture struct {
	ca     *acmetest.CA
	dns    *acmetest.DNS
	solver *http01.Solver
	dir    string
	log    *testutil.Log // of the clients
}

// newFixture starts one: each name under test has the address 127.0.0.1.
func newFixture(t testing.TB, o acmetest.Options) *fixture {
	t.Helper()
	dns, err := acmetest.StartDNS(acmetest.DNSOptions{Zones: []string{"test"}, Records: []string{
		"*.test. 60 IN A 127.0.0.1", "a.test. 60 IN A 127.0.0.1", "chat.a.test. 60 IN A 127.0.0.1",
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dns.Close() })
	o.DNS, o.HTTPPort = dns.Addr, freePort(t)
	ca, err := acmetest.StartCA(o)
	if err != nil {
		t.Fatal(err)
	}
	g := &fixture{ca: ca, dns: dns, dir: t.TempDir(), log: new(testutil.Log)}
	t.Cleanup(func() { g.ca.Close() })
	g.solver = &http01.Solver{
		Dir: filepath.Join(g.dir, "http-01"), Listen: "127.0.0.1:" + strconv.Itoa(ca.HTTPPort), Log: slog.New(slog.DiscardHandler),
	}
	t.Cleanup(g.solver.Close)
	return g
}

// freePort returns a port that nobody takes before the solver does: one below
// those that systems give to connections.
func freePort(t testing.TB) int {
	t.Helper()
	for range 100 {
		port := 20000 + rand.N(12000)
		if l, err := net.Listen("tcp", ":"+strconv.Itoa(port)); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

func (g *fixture) accountDir() string { return filepath.Join(g.dir, "accounts", "pebble") }

// options returns the options of a client of the CA.
func (g *fixture) options(t testing.TB) acme.Options {
	t.Helper()
	roots, err := acmetest.Pool(g.ca.Roots)
	if err != nil {
		t.Fatal(err)
	}
	return acme.Options{
		CA:  acme.CA{Name: "pebble", Directory: g.ca.Directory, Roots: roots},
		Dir: g.accountDir(), Log: slog.New(slog.NewTextHandler(g.log, nil)),
	}
}

// client returns a client with its account on disk.
func (g *fixture) client(t testing.TB) *acme.Client {
	t.Helper()
	return start(t, g.options(t))
}

func start(t testing.TB, o acme.Options) *acme.Client {
	t.Helper()
	c := acme.NewClient(o)
	t.Cleanup(c.Close)
	return c
}

// request returns a request for names, all by http-01.
func (g *fixture) request(names ...string) acme.Request {
	req := acme.Request{
		Names: names, KeyType: "ec256", Methods: map[string]acme.Method{},
		Pending: acme.OrderDir(filepath.Join(g.dir, "pending-"+strings.NewReplacer("*", "_", ":", "_").Replace(names[0]))),
	}
	for _, name := range names {
		req.Methods[name] = acme.Method{Type: acme.HTTP01, Solver: g.solver}
	}
	return req
}

// orderFile returns the file of an unfinished order.
func orderFile(pending acme.OrderStore) string {
	return filepath.Join(string(pending.(acme.OrderDir)), "order.json")
}

// remedyOf returns the remedy of err.
func remedyOf(err error) string {
	var r interface{ Remedy() string }
	if errors.As(err, &r) {
		return r.Remedy()
	}
	return ""
}

// wantError checks that err is one line with text, and its remedy has help.
func wantError(t *testing.T, err error, text, help string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) || strings.ContainsAny(err.Error(), "\n\x1b") {
		t.Fatalf("error = %v, want one line with %q", err, text)
	}
	if got := remedyOf(err); !strings.Contains(got, help) || strings.ContainsAny(got, "\n\x1b") {
		t.Errorf("remedy of %v = %q, want one line with %q", err, got, help)
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
