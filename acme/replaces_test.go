package acme_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"keypaird/acme/acmetest"
	"keypaird/acme/ari"
)

// A CA that refuses the replaces field gets the order without it; one that is busy, or
// limits the rate, does not get a second order.
func TestReplaces(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status int
		kind   string
		asked  int  // for orders; with replaces and without
		fails  bool // with the same again
	}{
		{"already replaced", 409, "alreadyReplaced", 2, false},
		{"conflict of another kind", 409, "conflict", 2, false},
		{"of another account", 403, "unauthorized", 2, false},
		{"unknown", 404, "malformed", 2, false},
		{"malformed", 400, "malformed", 2, false},
		{"refused by a proxy", 403, "", 2, false},
		{"a fault that comes of it", 500, "serverInternal", 3, false},
		{"rate limited", 429, "rateLimited", 1, true},
		{"unknown account", 400, "accountDoesNotExist", 1, true},
		{"new terms", 403, "userActionRequired", 1, true},
		{"busy", 503, "serverInternal", 3, false}, // the second time Pebble itself refuses it
		{"busy for long", 503, "", 1, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var tr traffic
			after := time.Duration(0)
			if tt.name == "busy for long" {
				after = time.Hour
			}
			times := 1
			if tt.status == 500 {
				times = 2
			}
			refuse := acmetest.Instead(acmetest.PathNewOrder, times, acmetest.Problem{Status: tt.status, Type: tt.kind, Detail: "no", RetryAfter: after})
			if tt.kind == "" && after == 0 {
				refuse = acmetest.Instead(acmetest.PathNewOrder, 1, acmetest.Say(tt.status, page)(nil))
			}
			g := newFixture(t, acmetest.Options{NonceReject: -1, Wrap: func(next http.Handler) http.Handler { return tr.wrap(refuse(next)) }})
			req := g.request("a.test")
			req.Replaces = "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"
			_, err := g.client(t).Obtain(t.Context(), req)
			if (err != nil) != tt.fails {
				t.Errorf("error = %v", err)
			}
			if n := tr.asked(acmetest.PathNewOrder); n != tt.asked {
				t.Errorf("asked for %d orders, want %d", n, tt.asked)
			}
			if said := strings.Contains(g.log.String(), "replaces refused"); said != (tt.asked > 1) {
				t.Errorf("log = %s", g.log.String())
			}
		})
	}
}

// The replaces field is sent only to a CA with renewal information.
func TestReplacesWithoutRenewalInfo(t *testing.T) {
	for _, refused := range []bool{false, true} {
		var tr traffic
		s := newFaultNet(t)
		sh := s.proxiedClient(t)
		sh.req.Replaces = "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE" // Pebble would refuse it
		sh.proxy.Set(func(next http.Handler) http.Handler {
			next = tr.wrap(next)
			if refused {
				next = acmetest.At(acmetest.PathNewOrder, acmetest.Say(403, page))(next)
			}
			return acmetest.At(acmetest.PathDirectory, withoutRenewalInfo())(next)
		})
		_, err := start(t, sh.options).Obtain(t.Context(), sh.req)
		if (err != nil) != refused {
			t.Errorf("error = %v", err)
		}
		if strings.Contains(sh.log.String(), "replaces refused") {
			t.Errorf("log = %s", sh.log.String())
		}
	}
}

// The CA gets the identifier of the certificate that is replaced.
func TestReplacesAccepted(t *testing.T) {
	var tr traffic
	g := newFixture(t, acmetest.Options{Wrap: tr.wrap})
	first, err := g.client(t).Obtain(t.Context(), g.request("a.test"))
	if err != nil {
		t.Fatal(err)
	}
	req := g.request("a.test")
	req.Current = first.Leaf
	if req.Replaces, err = ari.CertID(first.Leaf); err != nil {
		t.Fatal(err)
	}
	if _, err := g.client(t).Obtain(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(g.log.String(), "replaces refused") || tr.granted(acmetest.PathNewOrder) != 2 {
		t.Errorf("%d orders; log = %s", tr.granted(acmetest.PathNewOrder), g.log.String())
	}
	again := g.request("b.test", "a.test") // a certificate is replaced once
	again.Replaces = req.Replaces
	if _, err := g.client(t).Obtain(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(g.log.String(), "replaces refused") || !strings.Contains(g.log.String(), "alreadyReplaced") {
		t.Errorf("log = %s", g.log.String())
	}
}
