package acme_test

import (
	"context"
	"encoding/json"
	"net/url"
	"os"
	"testing"
	"time"

	"keypaird/acme"
	"keypaird/acme/acmetest"
)

// began sets the time at which the pending order was placed.
func began(t *testing.T, req acme.Request, at time.Time) {
	t.Helper()
	path := orderFile(req.Pending)
	var o map[string]any
	if err := json.Unmarshal(readFile(t, path), &o); err != nil {
		t.Fatal(err)
	}
	was, err := time.Parse(time.RFC3339, o["begun"].(string))
	if err != nil || time.Since(was).Abs() > time.Minute {
		t.Fatalf("begun %v, %v; want just now", was, err)
	}
	o["begun"] = at.UTC().Format(time.RFC3339)
	data, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// An order that a CA does not finish is given up after a day; a valid one is not, at any
// age.
func TestOldOrders(t *testing.T) {
	const day = 24 * time.Hour
	processing := acmetest.Rewrite(func(body []byte) []byte {
		var o map[string]any
		if json.Unmarshal(body, &o) == nil && o["status"] == "valid" {
			o["status"] = "processing"
			body, _ = json.Marshal(o)
		}
		return body
	})
	for _, tt := range []struct {
		name   string
		fault  acmetest.Fault // of the first order
		age    time.Duration
		orders int
	}{
		{"valid, two days old", nil, 2 * day, 1},
		{"processing for an hour", processing, time.Hour, 1},
		{"processing for two days", processing, 2 * day, 2},
		{"processing since the day after tomorrow", processing, -2 * day, 2},
		{"unknown for an hour", acmetest.Say(500, ""), time.Hour, 1},
		{"unknown for two days", acmetest.Say(500, ""), 2 * day, 2},
		{"malformed for an hour", acmetest.Say(200, page), time.Hour, 1},
		{"malformed for two days", acmetest.Say(200, page), 2 * day, 2},
		{"refused by a proxy for an hour", acmetest.Say(403, page), time.Hour, 1},
		{"refused by a proxy for two days", acmetest.Say(403, page), 2 * day, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newFaultNet(t)
			sh := s.proxiedClient(t)
			if _, err := start(t, sh.options).Obtain(t.Context(), sh.req); err != nil {
				t.Fatal(err)
			}
			began(t, sh.req, time.Now().Add(-tt.age))
			if tt.fault != nil {
				first := orderPath(t, sh.req)
				met := sh.setFault(first, tt.fault)
				if tt.orders > 1 {
					met = nil // it ends by itself
				}
				_ = tryInterrupted(t, met, func(ctx context.Context) error {
					_, err := start(t, sh.options).Obtain(ctx, sh.req)
					return err
				})
			}
			sh.proxy.Set(nil)
			sh.wantCertificate(t, start(t, sh.options), "", tt.orders)
			if n := sh.traffic.granted(acmetest.PathNewOrder); n != tt.orders {
				t.Errorf("%d orders, want %d", n, tt.orders)
			}
		})
	}
}

// orderPath returns the path of the pending order at the CA.
func orderPath(t *testing.T, req acme.Request) string {
	t.Helper()
	var o struct{ URL string }
	if err := json.Unmarshal(readFile(t, orderFile(req.Pending)), &o); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(o.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u.Path
}
