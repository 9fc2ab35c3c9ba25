package acme_test

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"keypaird/acme"
	"keypaird/acme/acmetest"
)

func TestObtain(t *testing.T) {
	g := newFixture(t, acmetest.Options{NonceReject: 30})
	c := g.client(t)
	for _, keyType := range []string{"ec256", "ec384", "rsa2048", "rsa3072"} {
		req := g.request("a.test", keyType+".test")
		req.KeyType = keyType
		pair, err := c.Obtain(t.Context(), req)
		if err != nil {
			t.Fatalf("%s: %v", keyType, err)
		}
		if got := pair.KeyType(); got != keyType {
			t.Errorf("key type = %s, want %s", got, keyType)
		}
		if err := req.Pending.Clear(); err != nil {
			t.Error(err)
		}
	}
}

func TestObtainTwiceResumesTheSameOrder(t *testing.T) {
	var n traffic
	g := newFixture(t, acmetest.Options{Wrap: n.wrap})
	first, err := g.client(t).Obtain(t.Context(), g.request("a.test"))
	if err != nil {
		t.Fatal(err)
	}
	// Killed before the pair was stored: the next process has the same order
	// and the same certificate.
	second, err := g.client(t).Obtain(t.Context(), g.request("a.test"))
	if err != nil {
		t.Fatal(err)
	}
	if first.Fingerprint() != second.Fingerprint() || n.granted(acmetest.PathNewOrder) != 1 || n.granted(acmetest.PathNewAccount) != 1 {
		t.Errorf("got %.8s, then %.8s with %d orders and %d registrations; want the same with 1 and 1",
			first.Fingerprint(), second.Fingerprint(), n.granted(acmetest.PathNewOrder), n.granted(acmetest.PathNewAccount))
	}
	// Stored, but killed before the order was forgotten: a new one is placed.
	req := g.request("a.test")
	req.Current = second.Leaf
	third, err := g.client(t).Obtain(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if third.Fingerprint() == second.Fingerprint() {
		t.Error("the stored certificate was handed out again")
	}
}

func TestFaults(t *testing.T) {
	problem := func(status int, kind, detail string, after time.Duration) http.Handler {
		return acmetest.Problem{Status: status, Type: kind, Detail: detail, RetryAfter: after}
	}
	raw := func(status int, body string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			w.Write([]byte(body))
		})
	}
	for _, tt := range []struct {
		name string
		path string
		n    int
		h    http.Handler
		want string // of the error; "" means success all the same
		help string // of the remedy
	}{
		{"one 503 while polling an authorization", acmetest.PathAuthz, 1, raw(503, "<html>busy</html>"), "", ""},
		{"one reset while polling the order", acmetest.PathOrder, 1, acmetest.Reset(), "", ""},
		{"null problem on an authorization", acmetest.PathAuthz, -1, raw(500, "null"), "http status 500: Internal Server Error", "the CA has a fault"},
		{"html instead of a problem", acmetest.PathNewOrder, -1, raw(403, "<html>no</html>"), "http status 403: Forbidden", "a proxy or firewall"},
		{"one lost answer to finalize", acmetest.PathFinalize, 1, acmetest.Reset(), "", ""},
		{"one malformed answer to finalize", acmetest.PathFinalize, 1, raw(200, "<html>"), "", ""},
		{"status as text", acmetest.PathNewOrder, -1, raw(400, `{"type":7,"status":"400","detail":"x\u001b[2Jy"}`), "http status 400: xy", ""},
		{"rate limited", acmetest.PathNewOrder, -1, problem(429, "rateLimited", "too many", time.Hour), "rateLimited: too many", "try again after"},
		{"paused", acmetest.PathNewOrder, -1, problem(429, "rateLimited", "paused, visit: https://portal.example/sfe/v1/unpause?jwt=abc", 0), "rateLimited", "https://portal.example/sfe/v1/unpause?jwt=abc"},
		{"caa", acmetest.PathFinalize, -1, problem(403, "caa", "CAA forbids", 0), "caa: CAA forbids", "CAA record"},
		{"account unknown", acmetest.PathNewOrder, -1, problem(400, "accountDoesNotExist", "who?", 0), "accountDoesNotExist: who?", "put back the right one"},
		{"a body without end", acmetest.PathNewOrder, -1, raw(200, strings.Repeat("x", 2<<20)), "longer than a megabyte", "no proxy changes its answers"},
		{"a redirect", acmetest.PathNewOrder, -1, http.RedirectHandler("https://evil.example/", http.StatusFound), "answers with a redirect to", "let this machine reach the CA"},
		{"an order of no kind", acmetest.PathNewOrder, -1, raw(201, `{}`), "it has no status", ""},
		{"a lying order", acmetest.PathNewOrder, -1, raw(201, `{"status":"valid","identifiers":[{"type":"dns","value":"a.test"}]}`), "no order url", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newFixture(t, acmetest.Options{Wrap: acmetest.Instead(tt.path, tt.n, tt.h)})
			_, err := g.client(t).Obtain(t.Context(), g.request("a.test"))
			switch {
			case tt.want == "" && err != nil:
				t.Fatalf("Obtain: %v", err)
			case tt.want == "":
				return
			case err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n"):
				t.Fatalf("error = %v, want one line with %q", err, tt.want)
			}
			var r interface{ Remedy() string }
			if tt.help != "" && (!errors.As(err, &r) || !strings.Contains(r.Remedy(), tt.help)) {
				t.Errorf("remedy of %#v, want %q", err, tt.help)
			}
		})
	}
}

func TestUnreachableHost(t *testing.T) {
	g := newFixture(t, acmetest.Options{})
	g.solver.Listen = "" // nobody answers on the port of validation
	_, err := g.client(t).Obtain(t.Context(), g.request("a.test"))
	var p *acme.Problem
	if !errors.As(err, &p) || p.Type != "connection" || p.Identifier != "a.test" || p.Challenge != acme.HTTP01 {
		t.Fatalf("error = %v, want a connection problem of a.test by http-01", err)
	}
	if acme.TryNextCA(err) {
		t.Error("another CA is tried although the name cannot be reached")
	}
}

func TestInterruptEndsEveryWait(t *testing.T) {
	for _, tt := range []struct{ name, path string }{
		{"directory", acmetest.PathDirectory}, {"account", acmetest.PathNewAccount}, {"order", acmetest.PathNewOrder},
		{"authorization", acmetest.PathAuthz}, {"challenge", acmetest.PathChallenge},
		{"finalize", acmetest.PathFinalize}, {"certificate", acmetest.PathCertificate},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			asked := make(chan struct{}, 1)
			stall := acmetest.Stall()
			g := newFixture(t, acmetest.Options{Wrap: acmetest.Instead(tt.path, -1, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				select {
				case asked <- struct{}{}:
				default:
				}
				stall.ServeHTTP(w, r)
			}))})
			ended := make(chan error, 1)
			c, req := g.client(t), g.request("a.test")
			go func() {
				_, err := c.Obtain(ctx, req)
				ended <- err
			}()
			<-asked
			interrupted := time.Now()
			cancel()
			select {
			case err := <-ended:
				t.Logf("ended %v after the interrupt", time.Since(interrupted))
				if !errors.Is(err, context.Canceled) {
					t.Errorf("error = %v, want context canceled", err)
				}
			case <-time.After(30 * time.Second):
				t.Error("still waiting long after the interrupt")
			}
		})
	}
}

func TestUntrustedCA(t *testing.T) {
	g := newFixture(t, acmetest.Options{})
	c := acme.NewClient(acme.Options{
		CA: acme.CA{Name: "pebble", Directory: g.ca.Directory}, Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler),
	})
	_, err := c.Obtain(t.Context(), g.request("a.test"))
	var untrusted *tls.CertificateVerificationError
	var u *acme.UnreachableError
	if !errors.As(err, &untrusted) || !errors.As(err, &u) || !strings.Contains(u.Remedy(), "set roots") {
		t.Errorf("error = %v, want one that says to set roots", err)
	}
}
