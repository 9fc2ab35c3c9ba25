package acmetest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"keypaird/acme/acmetest"
)

// Stock Pebble locks up at 64 workers; the gate is there so that it does not.
func TestLoad(t *testing.T) {
	ca, core := startCA(t, startDNS(t, acmetest.DNSOptions{}), acmetest.Options{NonceReject: -1})
	tokens := startTokens(t, ca)
	var names []string
	for i := range 300 {
		names = append(names, fmt.Sprintf("n%d.example.org", i%100))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := acmetest.Floor(ctx, core, tokens, names, 64); err != nil {
		t.Fatal(err)
	}
	if n := ca.Conns(); n > 200 {
		t.Errorf("%d connections for 2000 requests: they are not reused", n)
	}
}

func BenchmarkFloor(b *testing.B) {
	ns, err := acmetest.StartDNS(acmetest.DNSOptions{Zones: []string{"example.org"}, Records: []string{"*.example.org 60 A 127.0.0.1"}})
	if err != nil {
		b.Fatal(err)
	}
	defer ns.Close()
	ca, err := acmetest.StartCA(acmetest.Options{DNS: ns.Addr, NonceReject: -1})
	if err != nil {
		b.Fatal(err)
	}
	defer ca.Close()
	core, err := acmetest.NewCore(ca)
	if err != nil {
		b.Fatal(err)
	}
	tokens, err := acmetest.StartTokens(ca.HTTPPort)
	if err != nil {
		b.Fatal(err)
	}
	defer tokens.Close()
	for _, workers := range []int{1, 16} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			names := make([]string, b.N)
			for i := range names {
				names[i] = fmt.Sprintf("n%d-%d-%d.example.org", i, b.N, workers)
			}
			b.ResetTimer()
			if err := acmetest.Floor(b.Context(), core, tokens, names, workers); err != nil {
				b.Fatal(err)
			}
		})
	}
}
