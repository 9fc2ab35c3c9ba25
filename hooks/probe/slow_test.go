package probe

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// through is See on a connection that is there already.
func (l Probe) through(ctx context.Context, conn net.Conn) (Result, error) {
	p := lookup(l.Endpoint.Proto)
	visit, cancel := context.WithTimeout(ctx, p.limit)
	defer cancel()
	s, stage, err := l.talk(visit, p, conn, restriction{})
	if err != nil {
		return s, l.failed(ctx, visit, p, stage, err)
	}
	return s, nil
}

// drip writes what s has, then repeat for ever, a byte every second.
func drip(s, repeat string) func(net.Conn) {
	return func(conn net.Conn) {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		go io.Copy(io.Discard, conn)
		for i := 0; ; i++ {
			b := byte(0)
			if i < len(s) {
				b = s[i]
			} else {
				b = repeat[(i-len(s))%len(repeat)]
			}
			if _, err := conn.Write([]byte{b}); err != nil {
				return
			}
			<-tick.C
		}
	}
}

// A server that is always about to say something gets the time of one visit
// and no more, whatever the protocol.
func TestSlowServers(t *testing.T) {
	for _, tt := range []struct {
		proto, says, repeat string
		stage               Stage
	}{
		{"smtp", "", "220-x\r\n", Talking},
		{"smtp", "", "2", Talking},
		{"imap", "* OK\r\n", "* 1 EXISTS\r\n", Talking},
		{"pop3", "", "+OK", Talking},
		{"sieve", "", "\"SIEVE\" \"x\"\r\n", Talking},
		{"xmpp-client", "<stream:stream>", " ", Talking},
		{"xmpp-server", "", "<", Talking},
		{"tls", "\x16\x03\x03\x40\x00\x02\x00\x3f\xfc", "\x00", Handshaking},
		{"https", "\x16\x03\x03\x40\x00", "\x02", Handshaking},
	} {
		t.Run(tt.proto, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe()
				done := make(chan struct{})
				go func() { defer close(done); drip(tt.says, tt.repeat)(theirs) }()
				began := time.Now()
				_, err := Probe{Endpoint: Endpoint{Proto: tt.proto, Host: "192.0.2.1", Port: 1}, SNI: "example.org"}.through(t.Context(), ours)
				took := time.Since(began)
				ours.Close()
				theirs.Close()
				<-done
				v, ok := err.(*Error)
				if !ok || !v.TimedOut || v.Stage != tt.stage || !strings.Contains(err.Error(), "gave up after") {
					t.Errorf("See = %#v, want to give up in stage %d", err, tt.stage)
				}
				if want := lookup(tt.proto).limit; took != want {
					t.Errorf("took %s, want %s", took, want)
				}
			})
		})
	}
}

// What a server sends without end is not kept.
func TestMemory(t *testing.T) {
	record := "\x16\x03\x03\x40\x00" + "\x0b\x0f\xff\xff" + strings.Repeat("\x00", 0x4000-4) // the beginning of a certificate of 1 MiB
	for _, tt := range []struct{ name, proto, flood string }{
		{"banner", "smtp", "220-welcome\r\n"},
		{"stream", "xmpp-client", "<a>"},
		{"handshake", "tls", record},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sent := make(chan int, 1)
			e := serve(t, tt.proto, func(conn net.Conn) {
				n, total := 0, 0
				var err error
				for chunk := []byte(strings.Repeat(tt.flood, 1+10000/len(tt.flood))); err == nil; total += n {
					n, err = conn.Write(chunk)
				}
				select {
				case sent <- total:
				default:
				}
			})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if _, err := Dial(t.Context(), e, "example.org"); err == nil {
				t.Error("Dial = nil")
			}
			runtime.ReadMemStats(&after)
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 16<<20 {
				t.Errorf("allocated %d bytes in all, of %d sent", grown, <-sent)
			}
		})
	}
}

// Where each name is asked for, and how.
func TestLook(t *testing.T) {
	pair := newCert(t, "example.org")
	type hello struct {
		sni  string
		alpn string
	}
	hellos := make(chan hello, 1)
	tls13 := func(conn net.Conn) {
		tls.Server(conn, &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			hellos <- hello{h.ServerName, strings.Join(h.SupportedProtos, " ")}
			return &pair, nil
		}}).Handshake()
	}
	e := serve(t, "tls", tls13)
	named := e
	named.Host = "nowhere.invalid"
	stream := serve(t, "xmpp-client", play(t, []turn{{openClient, features}, {starttls, proceed}}, tls13))
	for _, tt := range []struct {
		name string
		look Probe
		want hello
	}{
		{"plain", Probe{Endpoint: e, SNI: "example.org"}, hello{"example.org", ""}},
		{"without SNI", Probe{Endpoint: e}, hello{"", ""}},
		{"an address of a name", Probe{Endpoint: named, Addr: addrOf(e), SNI: "example.org"}, hello{"example.org", ""}},
		{"direct TLS of XMPP", Probe{Endpoint: e, SNI: "example.org", ALPN: []string{"xmpp-client"}}, hello{"example.org", "xmpp-client"}},
		{"XMPP", Probe{Endpoint: stream, SNI: "example.org"}, hello{"example.org", ""}},
		{"XMPP without SNI", Probe{Endpoint: stream, To: "example.org"}, hello{"", ""}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := tt.look.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got := <-hellos; got != tt.want {
				t.Errorf("hello %+v, want %+v", got, tt.want)
			}
			if s.Version != tls.VersionTLS13 || len(s.Chain) != 2 {
				t.Errorf("saw %x, %d certificates", s.Version, len(s.Chain))
			}
		})
	}
}

func addrOf(e Endpoint) netip.Addr { return netip.MustParseAddr(e.Host) }

// closed is an endpoint that refuses connections: its port is bound by a socket
// that does not listen.
func closed(t *testing.T, proto string) Endpoint {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	at, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return Endpoint{proto, "127.0.0.1", uint16(at.(*syscall.SockaddrInet4).Port)}
}

// How far a visit got tells a server that is away from one that is wrong.
func TestVisitErrors(t *testing.T) {
	for _, tt := range []struct {
		name  string
		e     Endpoint
		stage Stage
		says  string
	}{
		{"nobody listens", closed(t, "https"), Connecting, "connection refused"},
		{"no mail today", serve(t, "smtp", say("554 no\r\n")), Talking, `"554 no"`},
		{"hangs up in the handshake", serve(t, "tls", func(c net.Conn) { io.ReadFull(c, make([]byte, 5)) }), Handshaking, "TLS handshake"},
		{"refuses the name", serve(t, "tls", func(c net.Conn) {
			tls.Server(c, &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }}).Handshake()
		}), Handshaking, `TLS handshake for "example.org": remote error: tls: unrecognized name`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			named := tt.e
			named.Host = "example.org"
			_, err := Probe{Endpoint: named, Addr: addrOf(tt.e), SNI: "example.org"}.Run(t.Context())
			v, ok := err.(*Error)
			if !ok || v.Stage != tt.stage || v.TimedOut || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("See = %#v, want stage %d and %q", err, tt.stage, tt.says)
			}
			if !strings.HasPrefix(err.Error(), named.String()+" at 127.0.0.1: ") {
				t.Errorf("error = %q", err)
			}
		})
	}
}
