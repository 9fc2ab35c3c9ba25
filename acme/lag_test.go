package acme_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"keypaird/acme"
	"keypaird/acme/acmetest"
)

// missing is the answer of a replica that has not heard of an object yet.
var missing = acmetest.Problem{Status: http.StatusNotFound, Type: "malformed", Detail: "no such object"}

// A 404 on a resource of an order that the CA has acknowledged is waited out.
func TestReplicaLags(t *testing.T) {
	for _, tt := range []struct{ name, path string }{
		{"authorization", acmetest.PathAuthz},
		{"challenge", acmetest.PathChallenge},
		{"finalize", acmetest.PathFinalize},
		{"order", acmetest.PathOrder},
		{"certificate", acmetest.PathCertificate},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var tr traffic
			g := newFixture(t, acmetest.Options{AuthzReuse: -1, Wrap: func(next http.Handler) http.Handler {
				return acmetest.Instead(tt.path, 2, missing)(tr.wrap(next))
			}})
			if _, err := g.client(t).Obtain(t.Context(), g.request("a.test")); err != nil {
				t.Fatal(err)
			}
			if orders, certs := tr.granted(acmetest.PathNewOrder), tr.granted(acmetest.PathFinalize); orders != 1 || certs != 1 {
				t.Errorf("%d orders and %d certificates, want 1 and 1", orders, certs)
			}
		})
	}
}

// An order that is valid before it names its certificate is asked for again.
func TestValidWithoutCertificate(t *testing.T) {
	var tr traffic
	hidden := 3
	g := newFixture(t, acmetest.Options{Wrap: func(next http.Handler) http.Handler {
		return rewrite(acmetest.PathOrder, func(_ string, _ http.Header, body []byte) []byte {
			if bytes.Contains(body, []byte(`"certificate"`)) && hidden > 0 {
				hidden--
				body = bytes.Replace(body, []byte(`"certificate"`), []byte(`"elsewhere"`), 1)
			}
			return body
		})(tr.wrap(next))
	}})
	if _, err := g.client(t).Obtain(t.Context(), g.request("a.test")); err != nil {
		t.Fatal(err)
	}
	if n := tr.granted(acmetest.PathNewOrder); n != 1 || hidden != 0 {
		t.Errorf("%d orders, the certificate hidden %d times more; want 1 and 0", n, hidden)
	}
}

// A finalized order whose certificate cannot be downloaded is kept: the next run
// downloads it.
func TestDownloadFails(t *testing.T) {
	var tr traffic
	g := newFixture(t, acmetest.Options{Wrap: func(next http.Handler) http.Handler {
		return acmetest.Instead(acmetest.PathCertificate, 1, acmetest.Problem{Status: http.StatusForbidden, Type: "userActionRequired", Detail: "pending"})(tr.wrap(next))
	}})
	if _, err := g.client(t).Obtain(t.Context(), g.request("a.test")); err == nil {
		t.Fatal("obtained what could not be downloaded")
	}
	if _, err := g.client(t).Obtain(t.Context(), g.request("a.test")); err != nil {
		t.Fatal(err)
	}
	if orders, certs := tr.granted(acmetest.PathNewOrder), tr.granted(acmetest.PathFinalize); orders != 1 || certs != 1 {
		t.Errorf("%d orders and %d certificates, want 1 and 1", orders, certs)
	}
}

// A CA that is away when it is to validate, and back later, is asked again.
func TestChallengeRequestLost(t *testing.T) {
	var tr traffic
	g := newFixture(t, acmetest.Options{Wrap: func(next http.Handler) http.Handler {
		return acmetest.Instead(acmetest.PathChallenge, 3, acmetest.Reset())(tr.wrap(next))
	}})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := g.client(t).Obtain(ctx, g.request("a.test")); err != nil {
		t.Fatal(err)
	}
	if orders, asked := tr.granted(acmetest.PathNewOrder), tr.granted(acmetest.PathChallenge); orders != 1 || asked != 1 {
		t.Errorf("%d orders and %d requests to validate, want 1 and 1", orders, asked)
	}
}

// A CA that answers each request to finalize with status ready is asked at a
// pace, and given up after a while with the order kept.
func TestFinalizeStaysReady(t *testing.T) {
	var tr traffic
	var total acmetest.Counter
	var stuck atomic.Bool
	stuck.Store(true)
	g := newFixture(t, acmetest.Options{NonceReject: -1, Wrap: func(next http.Handler) http.Handler {
		next = tr.wrap(next)
		return total.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if id, ok := strings.CutPrefix(r.URL.Path, acmetest.PathFinalize); ok && stuck.Load() {
				nonce := record(next, httptest.NewRequest(http.MethodHead, acmetest.PathNewNonce, nil)).Header()
				w.Header()["Replay-Nonce"] = nonce["Replay-Nonce"]
				fmt.Fprintf(w, `{"status":"ready","finalize":"https://%s%s%s"}`, r.Host, acmetest.PathFinalize, id)
				return
			}
			next.ServeHTTP(w, r)
		}))
	}})
	c := g.client(t)
	acme.SetPause(c, time.Millisecond)
	_, err := c.Obtain(t.Context(), g.request("a.test"))
	wantError(t, err, "the order is still ready", "the order is kept")
	if n := total.Count(acmetest.PathFinalize); n > 10 {
		t.Errorf("asked to finalize %d times, want 10 at most", n)
	}
	if n := total.Count(""); n > 40 {
		t.Errorf("%d requests, want 40 at most", n)
	}
	stuck.Store(false)
	if _, err := g.client(t).Obtain(t.Context(), g.request("a.test")); err != nil {
		t.Fatal(err)
	}
	if n := tr.granted(acmetest.PathNewOrder); n != 1 {
		t.Errorf("%d orders, want 1", n)
	}
}
