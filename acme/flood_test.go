package acme_test

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"time"

	"keypaird/acme/acmetest"
)

// Endless answers are not kept and not even read: an order is given up after a few
// megabytes, of all tries together.
func TestFloods(t *testing.T) { // not parallel: it counts what the whole process allocates
	const most = 48 << 20 // all that is allocated meanwhile, by the test's servers too
	s := newFaultNet(t)
	for _, f := range []struct {
		name  string
		path  string
		fault acmetest.Fault
	}{
		{"bodies", acmetest.PathNewOrder, acmetest.Endless(200)},
		{"certificates", acmetest.PathCertificate, acmetest.Endless(200)},
		{"errors", acmetest.PathNewOrder, acmetest.Endless(503)},
		{"lengths", acmetest.PathNewOrder, acmetest.Raw("HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\n", " ")},
		{"headers", acmetest.PathNewOrder, acmetest.Raw("HTTP/1.1 200 OK\r\n", "X-Filler: abcdefgh\r\n")},
		{"one header", acmetest.PathNewOrder, acmetest.Raw("HTTP/1.1 200 OK\r\nX: ", "abcdefgh")},
		{"early hints", acmetest.PathNewOrder, acmetest.Raw("", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")},
		{"compressed", acmetest.PathNewOrder, acmetest.Bomb(1 << 30)},
		{"subproblems", acmetest.PathNewOrder, acmetest.Say(400, `{"subproblems":[`+strings.Repeat(`{},`, 300_000)+`{}]}`)},
		{"authorizations", acmetest.PathNewOrder, acmetest.Say(200, `{"status":"pending","authorizations":[`+strings.Repeat(`"",`, 300_000)+`""]}`)},
		{"brackets", acmetest.PathNewOrder, acmetest.Say(200, strings.Repeat("[", 1<<20))},
		{"blocks", acmetest.PathCertificate, acmetest.Say(200, strings.Repeat("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", 17_000))},
	} {
		t.Run(f.name, func(t *testing.T) {
			sh := s.proxiedClient(t)
			c := start(t, sh.options)
			if _, err := c.Account(t.Context()); err != nil {
				t.Fatal(err)
			}
			sh.setFault(f.path, f.fault)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := c.Obtain(ctx, sh.req)
			runtime.ReadMemStats(&after)
			if err == nil || ctx.Err() != nil {
				t.Errorf("error = %v, want one before long", err)
			}
			sh.wantSane(t, err)
			if took := after.TotalAlloc - before.TotalAlloc; took > most {
				t.Errorf("%d MiB allocated, want at most %d", took>>20, most>>20)
			}
		})
	}
}
