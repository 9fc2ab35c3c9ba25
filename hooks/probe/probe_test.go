package probe

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// newCert returns a certificate for names, with a second one behind it.
func newCert(t *testing.T, names ...string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return newCertFor(t, key, names...)
}

// newCertFor is newCert with a key.
func newCertFor(t *testing.T, key crypto.Signer, names ...string) tls.Certificate {
	t.Helper()
	issuer := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test issuer"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	var pair tls.Certificate
	var err error
	for _, c := range []*x509.Certificate{leaf, issuer} {
		der, err := x509.CreateCertificate(rand.Reader, c, issuer, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		pair.Certificate = append(pair.Certificate, der)
	}
	pair.PrivateKey = key
	if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
		t.Fatal(err)
	}
	return pair
}

// serve answers each connection to a port of its own with handle, one at a
// time, until the test ends.
func serve(t *testing.T, proto string, handle func(net.Conn)) Endpoint {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conn.SetDeadline(time.Now().Add(20 * time.Second))
			handle(conn)
			conn.Close()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	addr := netip.MustParseAddrPort(ln.Addr().String())
	return Endpoint{proto, addr.Addr().String(), addr.Port()}
}

// handshaker serves pair and reports the SNI it was asked for.
func handshaker(pair tls.Certificate, sni chan<- string) func(net.Conn) {
	return func(conn net.Conn) {
		tls.Server(conn, &tls.Config{
			NextProtos: []string{"h2", "acme-tls/1"},
			GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
				sni <- h.ServerName
				return &pair, nil
			},
		}).Handshake()
	}
}

// dialFor returns an error unless e serves leaf.
func dialFor(t *testing.T, e Endpoint, ask string, leaf *x509.Certificate) error {
	t.Helper()
	chain, err := Dial(t.Context(), e, ask)
	if err == nil && !chain[0].Equal(leaf) {
		return fmt.Errorf("%s serves %s", e, Fingerprint(chain[0]))
	}
	return err
}

func TestServerName(t *testing.T) {
	now := newCert(t, "example.org")
	sni := make(chan string, 9)
	for _, tt := range []struct {
		name, proto, ask, sni string
	}{
		{"plain name", "tls", "example.org", "example.org"},
		{"host", "https", "matrix.example.org", "matrix.example.org"},
		{"wildcard", "tls", "*.example.org", "keypaird-probe.example.org"},
		{"IP address", "tls", "192.0.2.1", ""},
		{"IPv6 address", "tls", "2001:db8::1", ""},
		{"no name", "tls", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := dialFor(t, serve(t, tt.proto, handshaker(now, sni)), tt.ask, now.Leaf); err != nil {
				t.Error(err)
			}
			if got := <-sni; got != tt.sni {
				t.Errorf("SNI = %q, want %q", got, tt.sni)
			}
		})
	}
}

func TestDialReturnsTheWholeChain(t *testing.T) {
	pair := newCert(t, "example.org")
	chain, err := Dial(t.Context(), serve(t, "tls", handshaker(pair, make(chan string, 1))), "example.org")
	if err != nil {
		t.Fatal(err)
	}
	if len(chain) != 2 || !chain[0].Equal(pair.Leaf) {
		t.Errorf("chain of %d, want 2 with the leaf first", len(chain))
	}
}

// relayd and others load a key that is not the certificate's, and every
// handshake fails: showing the right certificate is not enough.
func TestServerWithoutTheKey(t *testing.T) {
	pair, other := newCert(t, "example.org"), newCert(t, "example.org")
	pair.PrivateKey = other.PrivateKey
	e := serve(t, "tls", handshaker(pair, make(chan string, 1)))
	if _, err := Dial(t.Context(), e, "example.org"); err == nil {
		t.Error("Dial = nil for a server without the key")
	}
}

func TestFailures(t *testing.T) {
	for _, tt := range []struct {
		name string
		e    Endpoint
		want string
	}{
		{"nobody listens", closed(t, "tls"), "connection refused"},
		{"unknown protocol", closed(t, "nntp"), `unknown protocol "nntp"`},
		{"plain HTTP", serve(t, "tls", say("HTTP/1.1 400 Bad Request\r\n\r\n")), "not TLS: check port and protocol"},
		{"hangs up", serve(t, "tls", func(net.Conn) {}), "TLS handshake"},
		{"hangs up before its greeting", serve(t, "smtp", func(net.Conn) {}), "before TLS: greeting: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			chain, err := Dial(t.Context(), tt.e, "example.org")
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("Dial = %v, want %q", err, tt.want)
			}
			if chain != nil {
				t.Error("a chain with an error")
			}
		})
	}
}

// say writes s and reads what comes until the other side hangs up.
func say(s string) func(net.Conn) {
	return func(conn net.Conn) {
		io.WriteString(conn, s)
		io.Copy(io.Discard, conn)
	}
}

// flood writes s for ever.
func flood(s string) func(net.Conn) {
	s = strings.Repeat(s, 1+1000/len(s))
	return func(conn net.Conn) {
		for {
			if _, err := io.WriteString(conn, s); err != nil {
				return
			}
		}
	}
}

func TestHostileServers(t *testing.T) {
	record := "\x16\x03\x03\x40\x00" + strings.Repeat("\x00", 0x4000) // handshake messages of no length, type 0
	for _, tt := range []struct {
		name, proto string
		handle      func(net.Conn)
		want        string
	}{
		{"banner without end", "smtp", flood("220-welcome\r\n"), "sent too much data"},
		{"line without end", "smtp", flood("220-welcome"), "a line of more than 4096 bytes"},
		{"line without end", "imap", flood("* OK hello"), "a line of more than 4096 bytes"},
		{"line without end", "pop3", flood("+OK"), "a line of more than 4096 bytes"},
		{"capabilities without end", "sieve", flood("\"SIEVE\" \"fileinto\"\r\n"), "sent too much data"},
		{"features without end", "xmpp-client", flood("<stream:features>"), "sent too much data"},
		{"spaces without end", "xmpp-server", flood(" "), "sent too much data"},
		{"untagged answers without end", "imap", flood("* OK still here\r\n"), "sent too much data"},
		{"garbage in the handshake without end", "tls", flood(record), "TLS handshake"},
		{"text without end for TLS", "tls", flood("220 welcome\r\n"), "not TLS"},
		{"terminal control in the answer", "smtp", say("554 \x1b]0;pwned\x07\n"), `"554 \x1b]0;pwned\a"`},
	} {
		t.Run(tt.proto+": "+tt.name, func(t *testing.T) {
			start := time.Now()
			_, err := Dial(t.Context(), serve(t, tt.proto, tt.handle), "example.org")
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Dial = %v, want %q", err, tt.want)
			}
			if err != nil && (len(err.Error()) > 1000 || strings.ContainsAny(err.Error(), "\x1b\n")) {
				t.Errorf("error of %d bytes: %q", len(err.Error()), err)
			}
			if d := time.Since(start); d > 30*time.Second {
				t.Errorf("took %s", d)
			}
		})
	}
}

// A server that accepts and says nothing costs no more than the caller allows.
func TestSilentServers(t *testing.T) {
	for _, proto := range Protos() {
		t.Run(proto, func(t *testing.T) {
			e := serve(t, proto, say(""))
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			start := time.Now()
			_, err := Dial(ctx, e, "example.org")
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Dial = %v, want the caller's deadline", err)
			}
			if d := time.Since(start); d > 5*time.Second {
				t.Errorf("took %s", d)
			}
		})
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	e := serve(t, "smtp", func(conn net.Conn) {
		io.WriteString(conn, "220-wait\r\n")
		cancel()
		io.Copy(io.Discard, conn)
	})
	if _, err := Dial(ctx, e, "example.org"); !errors.Is(err, context.Canceled) {
		t.Errorf("Dial = %v, want context.Canceled", err)
	}
}

// Of several certificates for a name, the one of the requested key type is returned,
// if there is one.
func TestKeyTypes(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	const name = "example.org"
	ec, rs := newCert(t, name), newCertFor(t, key, name)
	for _, tt := range []struct {
		name     string
		has      []tls.Certificate
		min, max uint16
		keyType  x509.PublicKeyAlgorithm
		want     tls.Certificate
	}{
		{"both, ECDSA", []tls.Certificate{rs, ec}, tls.VersionTLS12, tls.VersionTLS13, x509.ECDSA, ec},
		{"both, RSA", []tls.Certificate{ec, rs}, tls.VersionTLS12, tls.VersionTLS13, x509.RSA, rs},
		{"both, TLS 1.2, ECDSA", []tls.Certificate{rs, ec}, tls.VersionTLS12, tls.VersionTLS12, x509.ECDSA, ec},
		{"both, TLS 1.2, RSA", []tls.Certificate{ec, rs}, tls.VersionTLS12, tls.VersionTLS12, x509.RSA, rs},
		{"both, TLS 1.3, ECDSA", []tls.Certificate{rs, ec}, tls.VersionTLS13, tls.VersionTLS13, x509.ECDSA, ec},
		{"both, TLS 1.3, RSA", []tls.Certificate{ec, rs}, tls.VersionTLS13, tls.VersionTLS13, x509.RSA, rs},
		{"only RSA, TLS 1.3", []tls.Certificate{rs}, tls.VersionTLS13, tls.VersionTLS13, x509.ECDSA, rs},
		{"only ECDSA, TLS 1.3", []tls.Certificate{ec}, tls.VersionTLS13, tls.VersionTLS13, x509.RSA, ec},
		{"only RSA", []tls.Certificate{rs}, tls.VersionTLS12, tls.VersionTLS13, x509.ECDSA, rs},
		{"only ECDSA", []tls.Certificate{ec}, tls.VersionTLS12, tls.VersionTLS13, x509.RSA, ec},
		{"any", []tls.Certificate{ec}, tls.VersionTLS12, tls.VersionTLS13, 0, ec},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conf := &tls.Config{Certificates: tt.has, MinVersion: tt.min, MaxVersion: tt.max}
			e := serve(t, "tls", func(conn net.Conn) { tls.Server(conn, conf).Handshake() })
			s, err := Probe{Endpoint: e, SNI: name, KeyType: tt.keyType}.Run(t.Context())
			if err != nil || !s.Chain[0].Equal(tt.want.Leaf) {
				t.Errorf("served %v, %v", s.Chain, err)
			}
		})
	}
}

// A handshake of ours is as strict as that of crypto/tls: the server holds the key.
func TestHandshake13(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ec, rs := newCert(t, "example.org"), newCertFor(t, key, "example.org")
	stolenEC, stolenRSA := ec, rs
	stolenEC.PrivateKey, stolenRSA.PrivateKey = newCert(t, "x").PrivateKey, other
	for _, tt := range []struct {
		name    string
		cert    tls.Certificate
		keyType x509.PublicKeyAlgorithm
		want    bool
	}{
		{"ECDSA", ec, x509.ECDSA, true},
		{"RSA", rs, x509.RSA, true},
		{"not of that type", rs, x509.ECDSA, false},
		{"without the ECDSA key", stolenEC, x509.ECDSA, false},
		{"without the RSA key", stolenRSA, x509.RSA, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client, server := net.Pipe()
			done := make(chan struct{})
			go func() {
				defer close(done)
				tls.Server(server, &tls.Config{Certificates: []tls.Certificate{tt.cert}}).Handshake()
				server.Close()
			}()
			chain, err := handshake13(t.Context(), client, "example.org", []string{"h2"}, tt.keyType)
			client.Close()
			<-done
			if (err == nil) != tt.want || tt.want && !chain[0].Equal(tt.cert.Leaf) {
				t.Errorf("chain %v, %v", chain, err)
			}
		})
	}
}

// Whatever a server answers, the handshake ends.
func FuzzHandshake13(f *testing.F) {
	f.Add([]byte{22, 3, 3, 0, 4, 2, 0, 0, 0})
	f.Add([]byte{22, 3, 3, 0, 5, 2, 255, 255, 255, 0})
	f.Fuzz(func(t *testing.T, answer []byte) {
		serverShare(answer)
		certificates(answer)
		r := &reader13{conn: &replay{bytes.NewReader(answer)}}
		for range 100 {
			if _, err := r.message(); err != nil {
				return
			}
		}
	})
}

// A replay is a connection from which what was recorded is read.
type replay struct{ *bytes.Reader }

func (*replay) Close() error                     { return nil }
func (*replay) Write(b []byte) (int, error)      { return len(b), nil }
func (*replay) LocalAddr() net.Addr              { return nil }
func (*replay) RemoteAddr() net.Addr             { return nil }
func (*replay) SetDeadline(time.Time) error      { return nil }
func (*replay) SetReadDeadline(time.Time) error  { return nil }
func (*replay) SetWriteDeadline(time.Time) error { return nil }
