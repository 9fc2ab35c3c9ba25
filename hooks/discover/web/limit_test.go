package web

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"keypaird/hooks/discover/records"
	"keypaird/renew/netaddr"
)

// zone answers with the A records of names.
func zone(t *testing.T, names map[string]string) string {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{PacketConn: pc, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		m.RecursionAvailable = true
		name := q.Question[0].Name
		if a := names[strings.TrimSuffix(name, ".")]; a != "" && q.Question[0].Qtype == dns.TypeA {
			rr, _ := dns.NewRR(name + " 60 IN A " + a)
			m.Answer = append(m.Answer, rr)
		}
		_ = w.WriteMsg(m)
	})}
	go server.ActivateAndServe()
	t.Cleanup(func() { server.Shutdown() })
	return pc.LocalAddr().String()
}

// redirecting is a web server that redirects the first request to another host and
// trusts itself.
func redirecting(t *testing.T, to string) (dial func() net.Conn, roots *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"example.org", "other.test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, _ := x509.ParseCertificate(der)
	roots = x509.NewCertPool()
	roots.AddCert(leaf)
	return func() net.Conn {
		near, far := net.Pipe()
		go func() {
			conn := tls.Server(far, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
			defer conn.Close()
			req, err := http.ReadRequest(bufio.NewReader(conn))
			if err != nil {
				return
			}
			answer := "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
			if req.Host == "example.org" {
				answer = "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + to + "\r\n\r\n"
			}
			_, _ = io.WriteString(conn, answer)
		}()
		return near
	}, roots
}

// What a domain and its documents lead to may be as private as the domain.
func TestLimit(t *testing.T) {
	servers := []string{zone(t, map[string]string{"example.org": "192.0.2.1", "lan.test": "10.0.0.1"})}
	given := map[string][]netip.Addr{"given.test": {netip.MustParseAddr("10.0.0.5")}}
	for _, tt := range []struct {
		home, host string
		want       netaddr.Scope
	}{
		{"example.org", "example.org", netaddr.Loopback},
		{"example.org", "matrix.example.org", netaddr.Loopback},
		{"example.org", "badexample.org", netaddr.Public},
		{"example.org", "other.test", netaddr.Public},
		{"example.org", "given.test", netaddr.Loopback},
		{"lan.test", "other.test", netaddr.Private},
		{"10.0.0.1", "other.test", netaddr.Private},
		{"nowhere.test", "other.test", netaddr.Loopback},
		{"", "other.test", netaddr.Loopback},
	} {
		f := NewFetcher(records.NewResolver(servers, given, time.Second, slog.New(slog.DiscardHandler)), nil, time.Second, nil, slog.New(slog.DiscardHandler))
		f.Home = tt.home
		if got := f.Limit(t.Context(), tt.host); got != tt.want {
			t.Errorf("%s of %s: %s, want %s", tt.host, tt.home, got, tt.want)
		}
	}
}

// A document leads to no address that is more private than those of the domain.
func TestRedirectToPrivateAddress(t *testing.T) {
	for _, tt := range []struct {
		name, own, other string
		to               string
		given            bool
		follows          bool
	}{
		{"public to public", "192.0.2.1", "192.0.2.2", "https://other.test/", false, true},
		{"public to private", "192.0.2.1", "10.0.0.5", "https://other.test/", false, false},
		{"public to private, given by the operator", "192.0.2.1", "10.0.0.5", "https://other.test/", true, true},
		{"public to carrier-grade NAT", "192.0.2.1", "100.64.0.1", "https://other.test/", false, false},
		{"public to loopback", "192.0.2.1", "127.0.0.1", "https://other.test/", false, false},
		{"public to link-local", "192.0.2.1", "169.254.169.254", "https://other.test/", false, false},
		{"link-local, given by the operator", "192.0.2.1", "169.254.169.254", "https://other.test/", true, false},
		{"public to a private address in the URL", "192.0.2.1", "", "https://10.0.0.5/", false, false},
		{"public to an IPv4-mapped address", "192.0.2.1", "", "https://[::ffff:169.254.169.254]/", false, false},
		{"public to 6to4 of loopback", "192.0.2.1", "", "https://[2002:7f00:1::1]/", false, false},
		{"private to private", "192.168.1.1", "10.0.0.5", "https://other.test/", false, true},
		{"private to loopback", "192.168.1.1", "127.0.0.1", "https://other.test/", false, false},
		{"private to link-local", "192.168.1.1", "169.254.169.254", "https://other.test/", false, false},
		{"loopback to loopback", "127.0.0.1", "127.0.0.2", "https://other.test/", false, true},
		{"public to a private host below the domain", "192.0.2.1", "10.0.0.5", "https://in.example.org/", false, false},
		{"link-local itself", "169.254.169.254", "192.0.2.1", "https://other.test/", false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server, roots := redirecting(t, tt.to)
			given := map[string][]netip.Addr{}
			if tt.given {
				given["other.test"] = []netip.Addr{netip.MustParseAddr(tt.other)}
			}
			resolver := records.NewResolver([]string{zone(t, map[string]string{"example.org": tt.own, "other.test": tt.other, "in.example.org": tt.other})}, given, time.Second, slog.New(slog.DiscardHandler))
			var dialed []string
			f := NewFetcher(resolver, roots, 10*time.Second, func(_ context.Context, _, address string) (net.Conn, error) {
				dialed = append(dialed, address)
				return server(), nil
			}, slog.New(slog.DiscardHandler))
			f.Home = "example.org"
			d := f.Document(t.Context(), "example.org", "/x", true, 100, IfOK(func([]byte) (string, any, error) { return "", nil, nil }))
			if tt.follows {
				if d.State != records.Found || len(dialed) != 2 {
					t.Errorf("%s: %s, dialed %v", d.State, d.Why, dialed)
				}
				return
			}
			if d.State != records.Undetermined || !strings.Contains(d.Why, "not connected to: ") {
				t.Errorf("%s: %s", d.State, d.Why)
			}
			if slices.ContainsFunc(dialed, func(at string) bool { return at != "192.0.2.1:443" && at != "192.168.1.1:443" }) {
				t.Errorf("dialed %v", dialed)
			}
		})
	}
}
