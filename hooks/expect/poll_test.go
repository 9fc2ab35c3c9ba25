package expect

import (
	"crypto/tls"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"keypaird/hooks/probe"
	"keypaird/renew/keypair"
)

// worker is an endpoint that answers connection n, from 0, with pair(n).
func worker(t *testing.T, pair func(n int) *keypair.Pair) (probe.Endpoint, *atomic.Int32) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	count, done := new(atomic.Int32), make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			p := pair(int(count.Add(1) - 1))
			cert, err := tls.X509KeyPair(p.FullChain(), p.Key())
			if err == nil {
				tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{cert}}).Handshake()
			}
			conn.Close()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	at, err := probe.ParseEndpoint(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return at, count
}

// An old worker still accepts some connections after the reload: one good reply is not
// enough.
func TestOldWorkersDrain(t *testing.T) {
	old, p := good(t, plain), good(t, plain)
	sequence := []*keypair.Pair{p, old, p, p, p, old, p, p, p, p, p}
	at, count := worker(t, func(n int) *keypair.Pair { return sequence[min(n, len(sequence)-1)] })
	q := &Query{Target: &Target{Name: "x", New: p, Earlier: []*keypair.Pair{old}}, Endpoint: at, ServerName: plain, Want: p}
	left := Poll(t.Context(), []*Query{q}, Patience{Limit: 10 * time.Second, Some: 10 * time.Second}, func() bool { return false })
	if len(left) > 0 || q.Evaluate(time.Now()) != Served {
		t.Errorf("not served: %v", q.Now)
	}
	if n := int(count.Load()); n < len(sequence) {
		t.Errorf("served after %d connections, want %d", n, len(sequence))
	}
}

// An old worker that stays is no success.
func TestOldWorkerStays(t *testing.T) {
	old, p := good(t, plain), good(t, plain)
	at, _ := worker(t, func(n int) *keypair.Pair { return []*keypair.Pair{p, p, old}[n%3] })
	q := &Query{Target: &Target{Name: "x", New: p, Earlier: []*keypair.Pair{old}}, Endpoint: at, ServerName: plain, Want: p}
	left := Poll(t.Context(), []*Query{q}, Patience{Limit: time.Second, Some: time.Second}, func() bool { return false })
	if len(left) != 1 || q.Evaluate(time.Now()) == Served {
		t.Error("served")
	}
}

// A slow server that was never seen to serve another pair serves this one.
func TestSlowServer(t *testing.T) {
	p := good(t, plain)
	at, _ := worker(t, func(int) *keypair.Pair { time.Sleep(300 * time.Millisecond); return p })
	q := &Query{Target: &Target{Name: "x", New: p}, Endpoint: at, ServerName: plain, Want: p}
	Poll(t.Context(), []*Query{q}, Patience{Limit: time.Second, Some: time.Second}, func() bool { return false })
	if q.Evaluate(time.Now()) != Served {
		t.Errorf("not served: %v", q.Now)
	}
}
