package discover

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"keypaird/hooks/discover/records"
)

// swallow reads a request, so that the answer is not before the question.
func swallow(c net.Conn) {
	r := bufio.NewReader(c)
	for {
		l, err := r.ReadString('\n')
		if err != nil || l == "\r\n" {
			return
		}
	}
}

// pour writes text without end, or until the other side has had enough.
func pour(c net.Conn, text string, poured *atomic.Int64) {
	block := []byte(strings.Repeat(text, 32<<10/len(text)))
	for range (1 << 30) / len(block) {
		n, err := c.Write(block)
		if poured.Add(int64(n)); err != nil {
			return
		}
	}
}

// trickle writes text and then a byte now and then.
func trickle(c net.Conn, text string) {
	if _, err := io.WriteString(c, text); err != nil {
		return
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		if _, err := io.WriteString(c, "x"); err != nil {
			return
		}
	}
}

// patience is short only where time is what ends it.
func patience(s records.State) time.Duration {
	if s == records.Undetermined {
		return 300 * time.Millisecond
	}
	return 30 * time.Second
}

// Whatever a server sends, however slowly, it costs little and ends.
func TestHostileServers(t *testing.T) {
	var poured atomic.Int64
	const ok = "HTTP/1.1 200 OK\r\n"
	for i, tt := range []struct {
		name  string
		serve func(c net.Conn)
		state records.State
		why   string
	}{
		{"a gigabyte", func(c net.Conn) { io.WriteString(c, ok+"Content-Length: 1073741824\r\n\r\n"); pour(c, " ", &poured) }, records.Absent, "more than 51200 bytes"},
		{"no end", func(c net.Conn) { io.WriteString(c, ok+"\r\n"); pour(c, "{", &poured) }, records.Absent, "more than 51200 bytes"},
		{"chunks", func(c net.Conn) {
			io.WriteString(c, ok+"Transfer-Encoding: chunked\r\n\r\n")
			pour(c, "1;ext="+strings.Repeat("e", 1000)+"\r\nx\r\n", &poured)
		}, records.Absent, ""},
		{"headers", func(c net.Conn) { io.WriteString(c, ok); pour(c, "X-Header: x\r\n", &poured) }, records.Absent, "header"},
		{"one header", func(c net.Conn) { io.WriteString(c, ok+"X-Header: "); pour(c, "x", &poured) }, records.Absent, "header"},
		{"status line", func(c net.Conn) { pour(c, "HTTP/1.1 ", &poured) }, records.Absent, ""},
		{"early hints", func(c net.Conn) { pour(c, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", &poured) }, records.Absent, ""},
		{"slow headers", func(c net.Conn) { trickle(c, ok+"X-Header: ") }, records.Undetermined, "no complete answer in time"},
		{"slow body", func(c net.Conn) { trickle(c, ok+"\r\n{") }, records.Undetermined, "no complete answer in time"},
		{"silence", func(c net.Conn) { io.Copy(io.Discard, c) }, records.Undetermined, "no complete answer in time"},
		{"hangs up", func(net.Conn) {}, records.Absent, ""},
		{"gzip unasked", func(c net.Conn) {
			io.WriteString(c, ok+"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00")
		}, records.Absent, "not a JSON object"},
		{"terminal", func(c net.Conn) {
			io.WriteString(c, ok+"Content-Length: 36\r\n\r\n{\"m.server\": \"\\u001b[2Jm\\n\\u009b31m\"}")
		}, records.Absent, "server name"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			needNetwork(t)
			w := &world{t: t, ca: newCA(t)}
			at := fmt.Sprintf("127.3.0.%d", i+1)
			w.serveRaw(at+":443", func(c net.Conn) { swallow(c); tt.serve(c) }, "hostile.test")
			serveDNS(t, at+":53", fromZone("hostile.test. 60 IN A "+at+"\n"))
			d := patiently(Discoverer{Resolvers: []string{at}, Roots: w.ca.roots, Fetch: patience(tt.state)})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			poured.Store(0)
			a := ask(t, d, "hostile.test", "matrix")
			runtime.ReadMemStats(&after)
			v := a.Documents[0].Fetches[0]
			if tt.why != "server name" && (v.State != tt.state || !strings.Contains(v.Why, tt.why)) {
				t.Errorf("%s, %q, want %s, %q", v.State, v.Why, tt.state, tt.why)
			}
			if strings.ContainsAny(v.Why, "\x1b\n\u009b") {
				t.Errorf("writes to the terminal: %q", v.Why)
			}
			if n := poured.Load(); n > 64<<20 { // most of it sits in sockets
				t.Errorf("%d bytes were taken", n)
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 64<<20 {
				t.Errorf("%d bytes were allocated", n)
			}
		})
	}
}

// A server that is not what it should be before there is TLS.
func TestHostileBeforeTLS(t *testing.T) {
	needNetwork(t)
	for i, tt := range []struct {
		name  string
		serve func(c net.Conn)
		state records.State
	}{
		{"plain text", func(c net.Conn) { io.WriteString(c, "220 mail.test ESMTP\r\n") }, records.Absent},
		{"silence", func(c net.Conn) { io.Copy(io.Discard, c) }, records.Undetermined},
		{"records without end", func(c net.Conn) { var n atomic.Int64; pour(c, "\x16\x03\x03\x00\x04\x02\x00\x00\x00", &n) }, records.Absent},
	} {
		t.Run(tt.name, func(t *testing.T) {
			at := fmt.Sprintf("127.3.1.%d", i+1)
			ln, err := net.Listen("tcp", at+":443")
			if err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			wg.Go(func() {
				for {
					c, err := ln.Accept()
					if err != nil {
						return
					}
					wg.Go(func() { defer c.Close(); tt.serve(c) })
				}
			})
			t.Cleanup(func() { ln.Close(); wg.Wait() })
			serveDNS(t, at+":53", fromZone("hostile.test. 60 IN A "+at+"\n"))
			a := ask(t, patiently(Discoverer{Resolvers: []string{at}, Fetch: patience(tt.state)}), "hostile.test", "matrix")
			if v := a.Documents[0].Fetches[0]; v.State != tt.state {
				t.Errorf("%s, %q, want %s", v.State, v.Why, tt.state)
			}
		})
	}
}

// Nothing but GET is sent, and nothing of ours: no credentials, even if a
// redirect has some, no cookies, no referrer.
func TestNothingIsGivenAway(t *testing.T) {
	needNetwork(t)
	w := &world{t: t, ca: newCA(t)}
	var mu sync.Mutex
	var seen []string
	w.serveTLS("127.3.2.1:443", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen = append(seen, r.Method+" "+r.Host+r.URL.String())
		for name := range r.Header {
			if !slices.Contains([]string{"User-Agent", "Connection"}, name) {
				seen = append(seen, "header "+name)
			}
		}
		mu.Unlock()
		if r.Host == "hostile.test" {
			http.SetCookie(w, &http.Cookie{Name: "a", Value: "b", Domain: "test"})
			w.Header().Set("Location", "https://user:secret@Other.hostile.test/x#frag")
			w.WriteHeader(http.StatusFound)
		}
	}), "hostile.test", "other.hostile.test")
	serveDNS(t, "127.3.2.1:53", fromZone("hostile.test. 60 IN A 127.3.2.1\nother.hostile.test. 60 IN A 127.3.2.1\n"))
	a := ask(t, patiently(Discoverer{Resolvers: []string{"127.3.2.1"}, Roots: w.ca.roots}), "hostile.test", "matrix")
	if data, err := json.Marshal(a); err != nil || strings.Contains(string(data), "secret") {
		t.Errorf("the answer tells the password: %v", err)
	}
	mu.Lock()
	defer mu.Unlock()
	slices.Sort(seen)
	want := []string{
		"GET hostile.test/.well-known/matrix/client", "GET hostile.test/.well-known/matrix/server",
		"GET other.hostile.test/x", "GET other.hostile.test/x",
	}
	if !slices.Equal(seen, want) {
		t.Errorf("asked for:\n%s", strings.Join(seen, "\n"))
	}
}

// A zone full of records makes us ask a bounded number of questions.
func TestHostileZone(t *testing.T) {
	needNetwork(t)
	var questions atomic.Int64
	var zone strings.Builder
	for i := range 400 {
		fmt.Fprintf(&zone, "hostile.test. 60 IN MX %d mx%d.hostile.test.\n", i, i)
	}
	answer := fromZone(zone.String())
	serveDNS(t, "127.3.3.1:53", func(w dns.ResponseWriter, q *dns.Msg) {
		questions.Add(1)
		m := new(dns.Msg)
		m.SetReply(q)
		m.RecursionAvailable = true
		name := q.Question[0].Name
		switch {
		case name == "hostile.test." && q.Question[0].Qtype == dns.TypeMX:
			answer(w, q)
			return
		case q.Question[0].Qtype == dns.TypeSRV:
			for i := range 500 {
				m.Answer = append(m.Answer, &dns.SRV{
					Hdr:      dns.RR_Header{Name: name, Rrtype: dns.TypeSRV, Class: dns.ClassINET, Ttl: 60},
					Priority: uint16(i), Port: 443, Target: fmt.Sprintf("t%d.%s", i, strings.TrimLeft(name, "_")),
				})
			}
		case q.Question[0].Qtype == dns.TypeA: // and an alias to another, for ever
			rr, _ := dns.NewRR(fmt.Sprintf("%s 60 IN CNAME x.%s", name, name))
			if len(name) < 200 {
				m.Answer = append(m.Answer, rr)
			}
		}
		if w.RemoteAddr().Network() == "udp" {
			m.Truncate(1232)
		}
		w.WriteMsg(m)
	})
	var components []string
	for i := range 60 {
		components = append(components, fmt.Sprintf("c%d.hostile.test", i))
	}
	a, err := patiently(Discoverer{Resolvers: []string{"127.3.3.1"}}).Discover(t.Context(), "hostile.test", nil, components)
	if err != nil {
		t.Fatal(err)
	}
	if n := questions.Load(); n > 2*records.MaxQueries { // UDP, then TCP
		t.Errorf("%d questions", n)
	}
	explained(t, a)
	if !slices.ContainsFunc(a.Requirements, func(r Requirement) bool { return strings.Contains(r.Why, "gave up after 600 DNS queries") }) {
		t.Error("it did not come to that")
	}
}

// Nobody answers: that is said of everything, within the limit.
func TestNobodyAnswers(t *testing.T) {
	needNetwork(t)
	serveDNS(t, "127.3.4.1:53", func(dns.ResponseWriter, *dns.Msg) {})
	for _, d := range []*Discoverer{
		{Query: 20 * time.Millisecond},  // each gives up
		{Limit: 100 * time.Millisecond}, // all have to
	} {
		d.Resolvers = []string{"127.3.4.1"}
		a := ask(t, d, "hostile.test")
		for _, r := range a.Requirements {
			if r.State != records.Undetermined {
				t.Errorf("%s: %s", line("hostile.test", r), r.Why)
			}
		}
		explained(t, a)
		if len(a.Requirements) < 15 {
			t.Errorf("%d rows", len(a.Requirements))
		}
	}
}

// An interrupt is not an answer.
func TestInterrupt(t *testing.T) {
	needNetwork(t)
	ctx, cancel := context.WithCancel(t.Context())
	serveDNS(t, "127.3.5.1:53", func(dns.ResponseWriter, *dns.Msg) { cancel() })
	_, err := (&Discoverer{Resolvers: []string{"127.3.5.1"}}).Discover(ctx, "hostile.test", nil, nil)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v", err)
	}
}
