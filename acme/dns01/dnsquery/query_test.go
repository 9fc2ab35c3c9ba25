package dnsquery

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// serve starts a DNS server on UDP and TCP that records which queries it gets: the
// network, and "edns" if it has EDNS. handle returns false to send no answer.
func serve(t *testing.T, handle func(m, q *dns.Msg, network string) bool) (addr string, queries func() []string) {
	t.Helper()
	var udp net.PacketConn
	var tcp net.Listener
	var err error
	for range 20 { // the port may be free for one of the two only
		if udp, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if tcp, err = net.Listen("tcp", udp.LocalAddr().String()); err == nil {
			break
		}
		udp.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var list []string
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		network := w.RemoteAddr().Network()
		entry := network
		if q.IsEdns0() != nil {
			entry += " edns"
		}
		mu.Lock()
		list = append(list, entry)
		mu.Unlock()
		m := new(dns.Msg).SetReply(q)
		if handle(m, q, network) {
			_ = w.WriteMsg(m)
		}
	})
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait) // runs last
	for _, srv := range []*dns.Server{{PacketConn: udp, Handler: handler}, {Listener: tcp, Handler: handler}} {
		started := make(chan struct{})
		srv.NotifyStartedFunc = func() { close(started) }
		wg.Go(func() { _ = srv.ActivateAndServe() })
		<-started
		t.Cleanup(func() { _ = srv.Shutdown() })
	}
	return udp.LocalAddr().String(), func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(list)
	}
}

func TestDo(t *testing.T) {
	for _, tt := range []struct {
		name    string
		handle  func(m, q *dns.Msg, network string) bool
		queries string
		err     string
	}{
		{"answer over UDP", func(_, _ *dns.Msg, _ string) bool { return true }, "udp edns", ""},
		{"truncated", func(m, _ *dns.Msg, network string) bool { m.Truncated = network == "udp"; return true }, "udp edns, tcp", ""},
		{"no EDNS", func(m, q *dns.Msg, _ string) bool {
			if q.IsEdns0() != nil {
				m.Rcode = dns.RcodeFormatError
			}
			return true
		}, "udp edns, udp", ""},
		{"queries with EDNS are dropped", func(_, q *dns.Msg, _ string) bool { return q.IsEdns0() == nil }, "udp edns, tcp", ""},
		{"UDP is blocked", func(_, _ *dns.Msg, network string) bool { return network == "tcp" }, "udp edns, tcp", ""},
		{"silent", func(_, _ *dns.Msg, _ string) bool { return false }, "udp edns, tcp", "no answer over UDP or TCP: "},
		{"truncated, and silent over TCP", func(m, _ *dns.Msg, network string) bool { m.Truncated = true; return network == "udp" },
			"udp edns, tcp", "answer truncated, and over TCP: "},
		{"another question", func(m, _ *dns.Msg, _ string) bool { m.Question[0].Name = "example.net."; return true },
			"udp edns, tcp", "answered a different question"},
		{"an error without the question", func(m, _ *dns.Msg, _ string) bool {
			m.Question, m.Rcode = nil, dns.RcodeRefused
			return true
		}, "udp edns", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			addr, queries := serve(t, tt.handle)
			in, err := Query{Server: addr, Name: "example.org.", Type: dns.TypeTXT, Timeout: 200 * time.Millisecond}.Do(t.Context())
			if tt.err == "" && (err != nil || in.Truncated) || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("Do = %v, want %q", err, tt.err)
			}
			if got := strings.Join(queries(), ", "); got != tt.queries {
				t.Errorf("queries %q, want %q", got, tt.queries)
			}
		})
	}
}

func TestDoEndsWithContext(t *testing.T) {
	addr, _ := serve(t, func(_, _ *dns.Msg, _ string) bool { return false })
	cause := errors.New("stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(cause) })
	begun := time.Now()
	_, err := Query{Server: addr, Name: "example.org.", Type: dns.TypeTXT, Timeout: time.Minute}.Do(ctx)
	if !errors.Is(err, cause) || time.Since(begun) > maxUDPWait {
		t.Errorf("Do = %v after %v, want %v soon", err, time.Since(begun), cause)
	}
}

// Only a resolver is asked for recursion, and whether DNSSEC validated its answer.
func TestFlags(t *testing.T) {
	for _, recurse := range []bool{true, false} {
		addr, _ := serve(t, func(m, q *dns.Msg, _ string) bool {
			m.AuthenticatedData = q.AuthenticatedData && q.RecursionDesired
			return q.AuthenticatedData == q.RecursionDesired
		})
		in, err := Query{Server: addr, Name: "example.org.", Type: dns.TypeTXT, Recurse: recurse}.Do(t.Context())
		if err != nil || in.AuthenticatedData != recurse {
			t.Errorf("recurse %v: %v, %v", recurse, in, err)
		}
	}
}

func TestCheck(t *testing.T) {
	soa := []dns.RR{&dns.SOA{Hdr: dns.RR_Header{Ttl: 300}, Minttl: 60}}
	ns := []dns.RR{&dns.NS{}}
	record := []dns.RR{&dns.TXT{}}
	hdr := func(rcode int, authoritative, recursion bool) dns.MsgHdr {
		return dns.MsgHdr{Rcode: rcode, Authoritative: authoritative, RecursionAvailable: recursion}
	}
	for _, tt := range []struct {
		name    string
		in      dns.Msg
		recurse bool
		want    string
	}{
		{"records of a resolver", dns.Msg{MsgHdr: hdr(0, false, true), Answer: record}, true, ""},
		{"none, says a resolver", dns.Msg{MsgHdr: hdr(0, false, true), Ns: soa}, true, ""},
		{"none, without a SOA", dns.Msg{MsgHdr: hdr(0, false, true)}, true, ""},
		{"no such name", dns.Msg{MsgHdr: hdr(dns.RcodeNameError, false, true)}, true, ""},
		{"refused", dns.Msg{MsgHdr: hdr(dns.RcodeRefused, false, true)}, true, "answered REFUSED"},
		{"a referral", dns.Msg{MsgHdr: hdr(0, false, true), Ns: ns}, true, errReferral.Error()},
		{"empty, of a server that is no resolver", dns.Msg{MsgHdr: hdr(0, false, false)}, true, errReferral.Error()},
		{"authoritative, asked as a resolver", dns.Msg{MsgHdr: hdr(0, true, false)}, true, ""},
		{"authoritative", dns.Msg{MsgHdr: hdr(0, true, false), Ns: soa}, false, ""},
		{"lame", dns.Msg{MsgHdr: hdr(0, false, false)}, false, errNotAuth.Error()},
	} {
		got := ""
		if err := Check(&tt.in, tt.recurse); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	if got := NegativeTTL(&dns.Msg{Ns: soa}); got != time.Minute {
		t.Errorf("NegativeTTL = %v", got)
	}
}

func TestSystemResolvers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	if got := strings.Join(SystemResolvers(path), " "); got != "127.0.0.1:53 [::1]:53" {
		t.Errorf("without resolv.conf: %s", got)
	}
	if err := os.WriteFile(path, []byte("nameserver 192.0.2.1\nnameserver 2001:db8::1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(SystemResolvers(path), " "); got != "192.0.2.1:53 [2001:db8::1]:53" {
		t.Errorf("resolv.conf: %s", got)
	}
}
