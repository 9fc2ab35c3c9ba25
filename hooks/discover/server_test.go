package discover

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// serveTLS runs h at an address with a certificate for names.
func (w *world) serveTLS(addr string, h http.Handler, names ...string) {
	w.t.Helper()
	ln, err := tls.Listen("tcp", addr, &tls.Config{Certificates: []tls.Certificate{w.ca.leaf(time.Now().Add(time.Hour), names...)}})
	if err != nil {
		w.t.Fatal(err)
	}
	srv := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		srv.Serve(ln)
	}()
	w.t.Cleanup(func() {
		srv.Close()
		<-done
	})
}

// serveRaw runs f for each TLS connection to an address.
func (w *world) serveRaw(addr string, f func(c net.Conn), names ...string) {
	w.t.Helper()
	ln, err := tls.Listen("tcp", addr, &tls.Config{Certificates: []tls.Certificate{w.ca.leaf(time.Now().Add(time.Hour), names...)}})
	if err != nil {
		w.t.Fatal(err)
	}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				end := make(chan struct{})
				defer close(end)
				wg.Go(func() {
					select {
					case <-stop:
						c.Close()
					case <-end:
					}
				})
				f(c)
			})
		}
	})
	w.t.Cleanup(func() {
		close(stop)
		ln.Close()
		wg.Wait()
	})
}

// homeserver answers the few paths that are asked for.
func homeserver(name string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_matrix/key/v2/server", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"server_name": "`+name+`", "verify_keys": {}, "valid_until_ts": 1}`)
	})
	mux.HandleFunc("GET /_matrix/client/versions", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"versions": ["v1.1", "v1.18"]}`)
	})
	return mux
}

// serveDNS answers DNS questions over UDP and TCP as f does.
func serveDNS(t *testing.T, addr string, f dns.HandlerFunc) {
	t.Helper()
	pc, err := net.ListenPacket("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait) // the last of these
	for _, s := range []*dns.Server{{PacketConn: pc, Handler: f}, {Listener: ln, Handler: f}} {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		wg.Go(func() { s.ActivateAndServe() })
		<-started
		t.Cleanup(func() { s.Shutdown() })
	}
}

// records answers from zone file lines; a name that is not there does not
// exist.
func fromZone(lines string) dns.HandlerFunc {
	return func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		m.RecursionAvailable = true
		m.Rcode = dns.RcodeNameError
		z := dns.NewZoneParser(strings.NewReader(lines), ".", "")
		for rr, ok := z.Next(); ok; rr, ok = z.Next() {
			if strings.EqualFold(rr.Header().Name, q.Question[0].Name) {
				m.Rcode = dns.RcodeSuccess
				if rr.Header().Rrtype == q.Question[0].Qtype {
					m.Answer = append(m.Answer, rr)
				}
			}
		}
		w.WriteMsg(m)
	}
}

// Steps 1 and 2 have nothing to look up.
func TestFederationByName(t *testing.T) {
	w := newWorld(t, []story{{name: "named", zone: "@ IN A {1}\n_matrix-fed._tcp IN SRV 10 0 1234 wrong\n", web: wellKnown("wrong.@:1")}})
	for _, tt := range []struct{ name, spec, want string }{
		{"192.0.2.7", "step 1: IP literal: 8448; Host is the server name", "federation/1 https:192.0.2.7:8448 accept=192.0.2.7 host=192.0.2.7 must found"},
		{"192.0.2.7:443", "step 1: with the port", "federation/1 https:192.0.2.7:443 accept=192.0.2.7 host=192.0.2.7:443 must found"},
		{"[2001:DB8::7]", "step 1: IPv6", "federation/1 https:[2001:db8::7]:8448 accept=2001:db8::7 host=[2001:db8::7] must found"},
		{"[2001:db8::7]:8449", "step 1: IPv6 with a port", "federation/1 https:[2001:db8::7]:8449 accept=2001:db8::7 host=[2001:db8::7]:8449 must found"},
		{"named.test:8448", "step 2: host and port: no document, no SRV; Host with the port, certificate for the host", "federation/2 https:named.test:8448 sni=named.test accept=named.test host=named.test:8448 must found"},
	} {
		r, err := w.discoverer().Begin(tt.name, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.only("matrix", findFederation)
		a := answered(t, r)
		if len(a.Requirements) != 1 || line(r.Name().Host, a.Requirements[0]) != tt.want {
			t.Errorf("%s (%s): %+v, want %s", tt.name, tt.spec, a.Requirements, tt.want)
		}
		if len(a.Documents) > 0 {
			t.Errorf("%s: documents were fetched: %+v", tt.name, a.Documents)
		}
	}
}

// The keys are the plain domain's, whatever the certificate is for.
func TestAskWho(t *testing.T) {
	stories := []story{
		{name: "asked", zone: "@ IN A {1}\nmatrix IN A {2}\n_matrix-fed._tcp IN SRV 10 0 8448 matrix\n",
			web: clientDoc(`{"m.homeserver": {"base_url": "https://matrix.@:8448/"}}`, cors)},
		{name: "asked wrong", zone: "@ IN A {1}\nmatrix IN A {2}\n@ IN A {9}\n_matrix-fed._tcp IN SRV 10 0 8448 matrix\n_matrix-fed._tcp IN SRV 20 0 8449 matrix\n_matrix-fed._tcp IN SRV 20 0 8450 matrix\n",
			web: clientDoc(`{"m.homeserver": {"base_url": "https://matrix.@:8449"}}`, cors)},
	}
	w := newWorld(t, stories)
	w.serveTLS("127.1.1.2:8448", homeserver("asked.test"), "asked.test", "matrix.asked.test")
	w.serveTLS("127.1.2.2:8448", homeserver("matrix.asked-wrong.test"), "asked-wrong.test")
	w.serveTLS("127.1.2.2:8449", http.NotFoundHandler(), "asked-wrong.test", "matrix.asked-wrong.test")
	d := w.discoverer()
	d.Ask = true
	problems(t, ask(t, d, "asked.test", "matrix").Problems, nil)
	problems(t, ask(t, d, "asked-wrong.test", "matrix").Problems, lines(`
		!https:matrix.asked-wrong.test:8448 on 127.1.2.2 is the homeserver of matrix.asked-wrong.test, not of asked-wrong.test
		!https:matrix.asked-wrong.test:8449 on 127.1.2.2 does not return homeserver keys for asked-wrong.test: answers 404
		!https:matrix.asked-wrong.test:8450 on 127.1.2.2 does not return homeserver keys for asked-wrong.test: connection refused
		!the addresses of https://asked-wrong.test/.well-known/matrix/client
		!https://matrix.asked-wrong.test:8449/_matrix/client/versions on 127.1.2.2: clients stop with an error: answers 404`))
}

// A move is rehearsed: the name is already where it will be, for us only.
func TestResolveOverrides(t *testing.T) {
	w := newWorld(t, []story{{name: "moving", zone: "@ IN A 192.0.2.1\nmatrix IN A 192.0.2.2\nwww IN CNAME @\n",
		web: wellKnown("matrix.@:443")}})
	d := w.discoverer()
	d.Resolve = map[string][]netip.Addr{"Moving.test.": {addr("127.1.1.1")}, "matrix.moving.test": {addr("127.1.1.2"), addr("2001:db8::2")}}
	a := ask(t, d, "moving.test", "matrix", "web")
	var got []string
	for _, r := range a.Requirements {
		if r.CheckedBy == "Matrix servers" || r.CheckedBy == "browsers" {
			got = append(got, r.Role+" "+r.Endpoint.Host+" "+strings.Join(texts(r.Addrs), ","))
		}
	}
	compare(t, story{domain: "moving.test"}, got, []string{
		"well-known moving.test 127.1.1.1", "federation matrix.moving.test 127.1.1.2,2001:db8::2", "federation moving.test 127.1.1.1",
		"web moving.test 127.1.1.1", "web www.moving.test 192.0.2.1", // an alias is DNS's business
	})
	if e := a.Requirements[0].Evidence[0]; e.From != "given" || e.What != "address of moving.test" {
		t.Errorf("evidence = %+v", e)
	}
}

func texts(list []netip.Addr) (out []string) {
	for _, a := range list {
		out = append(out, a.String())
	}
	return out
}
