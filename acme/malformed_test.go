package acme_test

import (
	"bytes"
	"net/http"
	"sync/atomic"
	"testing"

	"keypaird/acme"
	"keypaird/acme/acmetest"
)

// An answer that is not a whole certificate may not be the CA's. The order is kept, and
// the certificate that was issued for it is fetched later.
func TestMalformedCertificate(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(chain []byte) []byte
	}{
		{"the page of a proxy", func([]byte) []byte { return []byte("<html>\x1b[2J</html>") }},
		{"nothing", func([]byte) []byte { return nil }},
		{"cut off in the first certificate", func(c []byte) []byte { return c[:100] }},
		{"cut off in the last certificate", func(c []byte) []byte { return c[:len(c)-30] }},
		{"cut off at the beginning of the last", func(c []byte) []byte { return c[:bytes.LastIndex(c, []byte("-----BEGIN"))+8] }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var tr traffic
			var healed atomic.Bool
			wrong := rewrite(acmetest.PathCertificate, func(_ string, _ http.Header, body []byte) []byte {
				if healed.Load() {
					return body
				}
				return tt.change(body)
			})
			g := newFixture(t, acmetest.Options{Wrap: func(next http.Handler) http.Handler { return wrong(tr.wrap(next)) }})
			req := g.request("a.test")
			_, err := g.client(t).Obtain(t.Context(), req)
			wantError(t, err, "is no cert: ", "no proxy changes its answers")
			if !acme.TryNextCA(err) || acme.CAWide(err) {
				t.Error("want another CA to be tried, for these names only")
			}
			healed.Store(true)
			if _, err := g.client(t).Obtain(t.Context(), req); err != nil {
				t.Fatal(err)
			}
			if n := tr.granted(acmetest.PathFinalize); n != 1 {
				t.Errorf("%d certificates ordered, want 1", n)
			}
		})
	}
}
