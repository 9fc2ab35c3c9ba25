package dns01

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A zone names the servers to query, but their number is bounded.
func TestManyNameServers(t *testing.T) {
	hosts := map[string][]string{}
	for i := range 40 {
		for j := range 10 {
			host := fmt.Sprintf("ns%d.example.net.", i)
			hosts[host] = append(hosts[host], fmt.Sprintf("192.0.2.%d", j), fmt.Sprintf("2001:db8::%d", j+1))
		}
	}
	r := &nameServer{}
	r.set(t, zoneOf("example.org.", hosts)...)
	c := Checker{System: []string{serve(t, r, "127.0.0.1", "")}}
	_, servers, err := c.authorities(t.Context(), name, true)
	if err != nil || len(servers) != 13 {
		t.Fatalf("%d name servers, %v, want 13", len(servers), err)
	}
	for _, s := range servers {
		families := map[bool]int{}
		for _, addr := range s.addrs {
			families[addr[0] == '[']++
		}
		if families[true] != 2 || families[false] != 2 {
			t.Errorf("%s: addresses %q, want two of each family", s.name, s.addrs)
		}
	}
}

// The number of concurrent queries is bounded.
func TestConcurrentQueries(t *testing.T) {
	var asked atomic.Int32
	c := Checker{Timeout: time.Minute, Grace: time.Minute}
	var all sync.WaitGroup
	defer all.Wait()
	for range 200 {
		conn, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		c.Resolvers = append(c.Resolvers, conn.LocalAddr().String())
		all.Go(func() {
			if _, _, err := conn.ReadFrom(make([]byte, 512)); err == nil {
				asked.Add(1)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	all.Go(func() { _ = c.Await(ctx, name, value, time.Minute) })
	eventually(t, "as many queries as may be", func() bool { return asked.Load() >= 64 })
	<-time.After(200 * time.Millisecond)
	if n := asked.Load(); n != 64 {
		t.Errorf("%d queries at once, want 64", n)
	}
}
