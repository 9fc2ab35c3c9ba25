package dnsquery

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"keypaird/renew/testutil"
)

// serve starts a DNS server on UDP and TCP that records which queries it gets: the
// network, and "edns" if it has EDNS. handle returns false to send no answer.
func serve(t *testing.T, handle func(m, q *dns.Msg, network string) bool) (addr string, queries func() []string) {
	t.Helper()
	udp, tcp := testutil.ListenBoth(t)
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
		{"an error of another question", func(m, _ *dns.Msg, _ string) bool {
			m.Question[0].Name, m.Rcode = "example.net.", dns.RcodeRefused
			return true
		}, "udp edns, tcp", "answered a different question"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			addr, queries := serve(t, tt.handle)
			in, err := Query{Server: addr, Name: "example.org.", Type: dns.TypeTXT, Timeout: 500 * time.Millisecond}.Do(t.Context())
			if tt.err == "" && (err != nil || in.Truncated) || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("Do = %v, want %q", err, tt.err)
			}
			if got := strings.Join(queries(), ", "); got != tt.queries {
				t.Errorf("queries %q, want %q", got, tt.queries)
			}
		})
	}
}

// A long time limit is for TCP: a lost packet costs no more than maxUDPWait.
func TestLongTimeout(t *testing.T) {
	t.Parallel()
	addr, _ := serve(t, func(_, _ *dns.Msg, network string) bool { return network == "tcp" })
	begun := time.Now()
	_, err := Query{Server: addr, Name: "example.org.", Type: dns.TypeTXT, Timeout: time.Minute}.Do(t.Context())
	if err != nil || time.Since(begun) > time.Minute/2 {
		t.Errorf("Do = %v after %v", err, time.Since(begun))
	}
}

// Resolve asks the next resolver before it asks one again, and none again that
// answered.
func TestResolve(t *testing.T) {
	good := func(m *dns.Msg, _ string) bool { m.RecursionAvailable = true; return true }
	silent := func(*dns.Msg, string) bool { return false }
	tcpOnly := func(m *dns.Msg, network string) bool { return good(m, network) && network == "tcp" }
	bogus := func(m *dns.Msg, _ string) bool { m.Rcode = dns.RcodeServerFailure; return true }
	referral := func(m *dns.Msg, network string) bool {
		m.Ns = []dns.RR{&dns.NS{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeNS}, Ns: "."}}
		return good(m, network)
	}
	halfway := func(m *dns.Msg, network string) bool { m.Truncated = true; return network == "udp" }
	type handler = func(m *dns.Msg, network string) bool
	for _, tt := range []struct {
		name      string
		resolvers []handler
		queries   string // of each resolver
		from      int
		err       string // of resolver from
	}{
		{"the first answers", []handler{good, good}, "udp edns | ", 0, ""},
		{"one is silent", []handler{silent, good}, "udp edns | udp edns", 1, ""},
		{"one fails", []handler{bogus, good}, "udp edns | udp edns", 1, ""},
		{"one refers to others", []handler{referral, good}, "udp edns | udp edns", 1, ""},
		{"UDP is blocked", []handler{silent, tcpOnly}, "udp edns, tcp | udp edns, tcp", 1, ""},
		{"one fails, one answers over TCP", []handler{bogus, tcpOnly}, "udp edns | udp edns, tcp", 1, ""},
		{"all fail", []handler{bogus, bogus}, "udp edns | udp edns", 1, "answered SERVFAIL"},
		{"one fails, one is silent", []handler{bogus, silent}, "udp edns | udp edns, tcp", 0, "answered SERVFAIL"},
		{"all are silent", []handler{silent, silent}, "udp edns, tcp | udp edns, tcp", 1, "no answer over UDP or TCP: i/o timeout"},
		{"truncated, and silent over TCP", []handler{halfway}, "udp edns, tcp", 0, "answer truncated, and over TCP: i/o timeout"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var addrs, asked []string
			var queries []func() []string
			for _, h := range tt.resolvers {
				addr, list := serve(t, func(m, _ *dns.Msg, network string) bool { return h(m, network) })
				addrs, queries = append(addrs, addr), append(queries, list)
			}
			in, from, err := Query{Name: "example.org.", Type: dns.TypeTXT, Timeout: 500 * time.Millisecond}.Resolve(t.Context(), addrs)
			for _, list := range queries {
				asked = append(asked, strings.Join(list(), ", "))
			}
			if got := strings.Join(asked, " | "); got != tt.queries {
				t.Errorf("queries %q, want %q", got, tt.queries)
			}
			if tt.err == "" && (err != nil || in == nil || from != addrs[tt.from]) || tt.err != "" && (err == nil || err.Error() != "resolver "+addrs[tt.from]+": "+tt.err) {
				t.Errorf("Resolve = %v of %s, %v, want resolver %s, %q", in != nil, from, err, addrs[tt.from], tt.err)
			}
		})
	}
	if _, _, err := (Query{Name: "example.org.", Type: dns.TypeTXT}).Resolve(t.Context(), nil); err == nil {
		t.Error("an answer without resolvers")
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
	if _, _, err := (Query{Name: "example.org.", Type: dns.TypeTXT}).Resolve(ctx, []string{addr}); !errors.Is(err, cause) {
		t.Errorf("Resolve = %v, want %v", err, cause)
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
	extended := func(code uint16) []dns.RR {
		return []dns.RR{&dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}, Option: []dns.EDNS0{&dns.EDNS0_EDE{InfoCode: code}}}}
	}
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
		{"an error with a reason", dns.Msg{MsgHdr: hdr(dns.RcodeServerFailure, false, true), Extra: extended(dns.ExtendedErrorCodeDNSBogus)}, true, "answered SERVFAIL (DNSSEC Bogus)"},
		{"an error with a reason of the server's own", dns.Msg{MsgHdr: hdr(dns.RcodeServerFailure, false, true), Extra: extended(0xC000)}, true, "answered SERVFAIL"},
		{"an unknown error", dns.Msg{MsgHdr: hdr(14, false, true)}, true, "answered RCODE 14"},
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
	if got, ok := NegativeTTL(&dns.Msg{Ns: soa}); got != time.Minute || !ok {
		t.Errorf("NegativeTTL = %v, %v", got, ok)
	}
	if got, ok := NegativeTTL(&dns.Msg{Ns: ns}); got != 0 || ok {
		t.Errorf("NegativeTTL without a SOA = %v, %v", got, ok)
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
