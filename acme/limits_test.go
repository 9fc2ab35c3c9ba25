package acme_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"keypaird/acme"
	"keypaird/acme/acmetest"
)

// refusal answers with a problem document and a Retry-After as it is given.
func refusal(status int, retryAfter, kind, detail string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(map[string]any{
			"type": "urn:ietf:params:acme:error:" + kind, "detail": detail, "status": "nonsense",
			"instance": "https://ca.example/terms/v2",
		})
	})
}

func TestLimits(t *testing.T) {
	soon := time.Now().Add(3 * time.Hour).UTC().Truncate(time.Second)
	const unpause = "https://portal.example/sfe/v1/unpause?jwt=abc.def-_"
	for _, tt := range []struct {
		name string
		h    http.Handler
		at   time.Time // of the next try; zero if it is not known
		help string
		page string // to open; "" means none
	}{
		{"seconds", refusal(429, "10800", "rateLimited", "too many"), soon, "try again after " + soon.Format("2006-01-02T15"), ""},
		{"a date", refusal(429, soon.Format(http.TimeFormat), "rateLimited", "too many"), soon, "try again after " + soon.Format(time.RFC3339), ""},
		{"in the text alone", refusal(429, "", "rateLimited", "too many certificates (5) already issued for this exact set of identifiers in the last 168h0m0s, retry after "+
			soon.Format("2006-01-02 15:04:05 MST")+": see https://letsencrypt.org/docs/rate-limits/"), soon, "try again after " + soon.Format(time.RFC3339), ""},
		{"not said", refusal(429, "", "rateLimited", "too many"), time.Time{}, "wait some hours", ""},
		{"nonsense", refusal(429, "soon", "rateLimited", "too many"), time.Time{}, "wait some hours", ""},
		{"by a proxy, without a type", acmetest.Say(429, "", "Retry-After: 10800")(nil), soon, "try again after", ""},
		{"paused", refusal(429, "", "rateLimited", "Your account is temporarily prevented from requesting certificates for a.test and possibly others. Please visit: "+unpause+"."),
			time.Time{}, "then open " + unpause, unpause},
		{"paused, with a page that would steer the terminal", refusal(429, "", "rateLimited", "visit https://portal.example/unpause?\x1b[2J"),
			time.Time{}, "then open https://portal.example/unpause?", "https://portal.example/unpause?"},
		{"new terms of service", refusal(403, "", "userActionRequired", "terms have changed"), time.Time{}, "open https://ca.example/terms/v2", "https://ca.example/terms/v2"},
		{"busy until a date", refusal(503, soon.Format(http.TimeFormat), "serverInternal", "down for maintenance"), soon, "the CA has a fault", ""},
		{"busy by a proxy", acmetest.Say(503, "<html>", "Retry-After: "+soon.Format(http.TimeFormat))(nil), soon, "the CA has a fault", ""},
		{"by a CA whose clock is a year ahead", acmetest.Say(429, "", "Retry-After: "+soon.AddDate(1, 0, 0).Format(http.TimeFormat),
			"Date: "+time.Now().AddDate(1, 0, 0).UTC().Format(http.TimeFormat))(nil), soon, "try again after", ""},
		{"busy for long", refusal(503, "10800", "serverInternal", "down for maintenance"), soon, "the CA has a fault", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var tr traffic
			g := newFixture(t, acmetest.Options{Wrap: func(next http.Handler) http.Handler {
				return tr.wrap(acmetest.Instead(acmetest.PathNewOrder, -1, tt.h)(next))
			}})
			began := time.Now()
			_, err := g.client(t).Obtain(t.Context(), g.request("a.test"))
			if took := time.Since(began); took > time.Minute {
				t.Errorf("took %v", took)
			}
			wantError(t, err, "ordering: pebble: ", tt.help)
			var p *acme.Problem
			if !errors.As(err, &p) || p.Earliest().Sub(tt.at).Abs() > 5*time.Minute {
				t.Errorf("next try at %v, want %v", p.Earliest(), tt.at)
			}
			if p.Page != tt.page {
				t.Errorf("page to open = %q, want %q", p.Page, tt.page)
			}
			if !acme.TryNextCA(err) {
				t.Error("no other CA is tried")
			}
			if n := tr.asked(acmetest.PathNewOrder); n != 1 {
				t.Errorf("%d requests for an order, want 1", n)
			}
		})
	}
}

// A rate limit in the middle of an order does not end the order.
func TestLimitInTheMiddle(t *testing.T) {
	for _, path := range []string{acmetest.PathAuthz, acmetest.PathChallenge, acmetest.PathFinalize, acmetest.PathOrder, acmetest.PathCertificate} {
		t.Run(path, func(t *testing.T) {
			var tr traffic
			limit := acmetest.Instead(path, 1, refusal(429, "3600", "rateLimited", "slow down"))
			g := newFixture(t, acmetest.Options{AuthzReuse: -1, Wrap: func(next http.Handler) http.Handler { return limit(tr.wrap(next)) }})
			req := g.request("a.test")
			_, err := g.client(t).Obtain(t.Context(), req)
			wantError(t, err, "rateLimited: slow down", "try again after")
			if _, err := g.client(t).Obtain(t.Context(), req); err != nil {
				t.Fatal(err)
			}
			if n := tr.granted(acmetest.PathFinalize); n != 1 {
				t.Errorf("%d certificates ordered, want 1", n)
			}
		})
	}
}

// A CA with lasting errors is given up after a few requests.
func TestCAThatKeepsFailing(t *testing.T) {
	for _, tt := range []struct {
		name, path string
		h          http.Handler
		most       int // requests
	}{
		{"503 to the request to sign", acmetest.PathFinalize, refusal(503, "", "serverInternal", "busy"), 3},
		{"garbage to the request to sign", acmetest.PathFinalize, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) }), 3},
		{"never ready", acmetest.PathFinalize, refusal(403, "", "orderNotReady", "not yet"), 8},
		{"resets for orders", acmetest.PathNewOrder, acmetest.Reset(), 2},
		{"503 without end for orders", acmetest.PathNewOrder, refusal(503, "", "serverInternal", "busy"), 2},
		{"an order of another shape", acmetest.PathNewOrder, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(201)
			w.Write([]byte(`{"status":"pending"}`))
		}), 1},
		{"503 for nonces", acmetest.PathNewNonce, refusal(503, "", "serverInternal", "busy"), 3},
		{"503 for the directory", acmetest.PathDirectory, refusal(503, "", "serverInternal", "busy"), 3},
		{"503 for the certificate", acmetest.PathCertificate, refusal(503, "", "serverInternal", "busy"), 3},
		{"every nonce is bad", acmetest.PathNewAccount, refusal(400, "", "badNonce", "bad"), 22},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var n acmetest.Counter
			h := tt.h
			g := newFixture(t, acmetest.Options{NonceReject: -1, Wrap: func(next http.Handler) http.Handler {
				return n.Wrap(acmetest.Instead(tt.path, -1, h)(next))
			}})
			c := g.client(t)
			acme.SetPause(c, time.Millisecond)
			_, err := c.Obtain(t.Context(), g.request("a.test"))
			if err == nil || remedyOf(err) == "" || strings.Contains(err.Error(), "\n") {
				t.Fatalf("error = %v, want one line and a remedy", err)
			}
			if got := n.Count(tt.path); got > tt.most {
				t.Errorf("%d requests, want at most %d", got, tt.most)
			}
		})
	}
}

// The page of a captive portal is not cached as the CA's directory.
func TestMalformedDirectoryIsNotKept(t *testing.T) {
	g := newFixture(t, acmetest.Options{Wrap: acmetest.Instead(acmetest.PathDirectory, 3, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte("<html>log in first</html>"))
	}))})
	c := g.client(t)
	_, err := c.Obtain(t.Context(), g.request("a.test"))
	wantError(t, err, "pebble: ", "that of an ACME server")
	if _, err := c.Obtain(t.Context(), g.request("a.test")); err != nil {
		t.Error(err)
	}
}

func TestRetryAfterIsObeyed(t *testing.T) {
	for _, tt := range []struct {
		name string
		path string
		slow acmetest.Slow
	}{
		{"while validating", acmetest.PathAuthz, acmetest.Slow{Validate: 1300 * time.Millisecond, RetryAfter: time.Second}},
		{"while issuing", acmetest.PathOrder, acmetest.Slow{Finalize: 900 * time.Millisecond, RetryAfter: time.Second}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var n acmetest.Counter
			g := newFixture(t, acmetest.Options{NonceReject: -1, Wrap: func(next http.Handler) http.Handler {
				return n.Wrap(tt.slow.Wrap(next))
			}})
			began := time.Now()
			if _, err := g.client(t).Obtain(t.Context(), g.request("a.test")); err != nil {
				t.Fatal(err)
			}
			took := time.Since(began)
			if took < time.Second {
				t.Errorf("took %v, want a little more than 1s", took)
			}
			// The first is before there is anything to wait for.
			if got, most := n.Count(tt.path), 2+int(took/time.Second); got > most {
				t.Errorf("%d looks in %v, want at most %d", got, took, most)
			}
		})
	}
}
