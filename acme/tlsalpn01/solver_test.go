package tlsalpn01

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"keypaird/acme"
	"keypaird/renew/problem"
	"keypaird/renew/testutil"
)

const (
	token   = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
	keyAuth = token + ".9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"
)

var (
	must      = testutil.Must
	challenge = acme.Challenge{Type: acme.TLSALPN01, Identifier: "a.test", Token: token, KeyAuth: keyAuth}
)

func TestMain(m *testing.M) { os.Exit(testutil.Run(m)) }

// newSolver returns a Solver on a port of its own, and the port's address.
func newSolver(t *testing.T) (*Solver, string) {
	t.Helper()
	addr := ""
	for addr == "" { // a port below those that systems give to connections
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20000+rand.N(12000))); err == nil {
			addr = l.Addr().String()
			must(t, l.Close())
		}
	}
	s := &Solver{Dir: filepath.Join(t.TempDir(), "tls-alpn-01"), Listen: addr, Log: slog.New(slog.DiscardHandler)}
	t.Cleanup(s.Close)
	return s, addr
}

// dial returns the certificate that a handshake shows.
func dial(addr, name string, protocols ...string) (*x509.Certificate, error) {
	d := &net.Dialer{Timeout: 10 * time.Second}
	conn, err := tls.DialWithDialer(d, "tcp", addr, &tls.Config{ServerName: name, NextProtos: protocols, InsecureSkipVerify: true})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0], nil
}

func TestSolve(t *testing.T) {
	s, addr := newSolver(t)
	for _, name := range []string{"a.test", "192.0.2.1", "2001:db8::1", "xn--nxasmq6b.test", "_a.test"} {
		c := challenge
		c.Identifier = name
		must(t, s.Solve(t.Context(), c, func(ctx context.Context) error { return askAt(ctx, addr, c) }))
		if err := askAt(t.Context(), addr, c); err == nil {
			t.Errorf("%s is answered after Solve", name)
		}
	}
	left, err := os.ReadDir(s.Dir)
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	s.Close()
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Error("still listening after Close")
	}
	must(t, s.Solve(t.Context(), challenge, func(ctx context.Context) error { return askAt(ctx, addr, challenge) }))
}

// Only a handshake that offers acme-tls/1 for a name with a challenge is answered, each
// with a key of its own.
func TestOthersAreRefused(t *testing.T) {
	s, addr := newSolver(t)
	must(t, os.MkdirAll(s.Dir, 0o700))
	must(t, os.WriteFile(filepath.Join(s.Dir, "..", "secret"), []byte("a.test "+keyAuth), 0o600))
	must(t, os.WriteFile(filepath.Join(s.Dir, "b.test"), []byte("a.test "+keyAuth), 0o600))
	must(t, os.WriteFile(filepath.Join(s.Dir, "c.test"), []byte("secret"), 0o600))
	must(t, s.Solve(t.Context(), challenge, func(ctx context.Context) error {
		for _, tt := range []struct {
			name      string
			protocols []string
			ok        bool
		}{
			{"a.test", []string{Protocol}, true},
			{"A.Test", []string{Protocol}, true},
			{"a.test", []string{"h2", "http/1.1"}, false},
			{"a.test", nil, false},
			{"", []string{Protocol}, false},
			{"www.a.test", []string{Protocol}, false},
			{"b.test", []string{Protocol}, false},
			{"c.test", []string{Protocol}, false},
			{"../secret", []string{Protocol}, false},
			{".token-1", []string{Protocol}, false},
		} {
			if _, err := dial(addr, tt.name, tt.protocols...); (err == nil) != tt.ok {
				t.Errorf("%q with %q: %v", tt.name, tt.protocols, err)
			}
		}
		one, err := dial(addr, "a.test", Protocol)
		if err != nil {
			return err
		}
		two, err := dial(addr, "a.test", Protocol)
		if err != nil {
			return err
		}
		if string(one.RawSubjectPublicKeyInfo) == string(two.RawSubjectPublicKeyInfo) {
			t.Error("two certificates have the same key")
		}
		return nil
	}))
}

// Ask refuses what a CA refuses.
func TestAskRefuses(t *testing.T) {
	s, addr := newSolver(t)
	must(t, s.Solve(t.Context(), challenge, func(ctx context.Context) error {
		other := challenge
		other.KeyAuth = token + ".x"
		if err := askAt(ctx, addr, other); err == nil || !strings.Contains(err.Error(), "answers another challenge") {
			t.Errorf("another key authorization: %v", err)
		}
		return nil
	}))
	wrong, err := certificate("b.test", keyAuth)
	must(t, err)
	plain := *wrong
	for _, tt := range []struct {
		name string
		conf *tls.Config
		want string
	}{
		{"another name", &tls.Config{NextProtos: []string{Protocol}, Certificates: []tls.Certificate{plain}}, "answers a challenge of b.test"},
		{"a server without ALPN", &tls.Config{Certificates: []tls.Certificate{plain}}, "does not choose acme-tls/1"},
		{"a web server", &tls.Config{NextProtos: []string{"h2"}, Certificates: []tls.Certificate{plain}}, "no application protocol"},
	} {
		l, err := tls.Listen("tcp", "127.0.0.1:0", tt.conf)
		must(t, err)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			if conn, err := l.Accept(); err == nil {
				_ = conn.(*tls.Conn).Handshake()
				conn.Close()
			}
		}()
		if err := askAt(t.Context(), l.Addr().String(), challenge); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
		l.Close()
		<-ended
	}
}

// Silent peers keep nobody out, and do not delay the end.
func TestSilentPeers(t *testing.T) {
	s, addr := newSolver(t)
	must(t, s.Solve(t.Context(), challenge, func(ctx context.Context) error {
		began := time.Now()
		for range 400 { // more than are served at a time
			c, err := net.Dial("tcp", addr)
			if err != nil {
				return err
			}
			defer c.Close()
		}
		if err := askAt(ctx, addr, challenge); err != nil {
			return err
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("an honest peer waited %v", took)
		}
		return nil
	}))
	silent, err := net.Dial("tcp", addr)
	must(t, err)
	defer silent.Close()
	began := time.Now()
	s.Close()
	if took := time.Since(began); took > time.Second {
		t.Errorf("Close waited %v for a silent peer", took)
	}
}

// nginx passes connections on with a line before them.
func TestProxyHeader(t *testing.T) {
	s, addr := newSolver(t)
	must(t, s.Solve(t.Context(), challenge, func(context.Context) error {
		for header, ok := range map[string]bool{
			"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n": true, "PROXY UNKNOWN\r\n": true, "PROXY " + strings.Repeat("x", 200) + "\r\n": false, "GET / HTTP/1.0\r\n": false,
		} {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				return err
			}
			defer conn.Close()
			if _, err := conn.Write([]byte(header)); err != nil {
				return err
			}
			peer := tls.Client(conn, &tls.Config{ServerName: "a.test", NextProtos: []string{Protocol}, InsecureSkipVerify: true})
			if err := peer.Handshake(); (err == nil) != ok {
				t.Errorf("%q: %v", header, err)
			}
		}
		return nil
	}))
}

// The challenges of one name take turns; a waiting one says so.
func TestOneAtATime(t *testing.T) {
	s, addr := newSolver(t)
	second := challenge
	second.KeyAuth = token + ".x"
	waits := make(chan bool, 2)
	second.Queued = func(w bool) { waits <- w }
	ended := make(chan error)
	must(t, s.Solve(t.Context(), challenge, func(ctx context.Context) error {
		go func() {
			ended <- s.Solve(ctx, second, func(ctx context.Context) error { return askAt(ctx, addr, second) })
		}()
		if !<-waits {
			t.Error("the second does not wait")
		}
		return askAt(ctx, addr, challenge)
	}))
	must(t, <-ended)
	if <-waits {
		t.Error("the second still waits")
	}
	ctx, cancel := context.WithCancel(t.Context())
	must(t, s.Solve(t.Context(), challenge, func(context.Context) error {
		cancel()
		if err := s.Solve(ctx, second, func(context.Context) error { return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("the end of the context: %v", err)
		}
		return nil
	}))
}

// The port may be held by another keypaird, which answers for us, or by a server.
func TestPortIsTaken(t *testing.T) {
	s, addr := newSolver(t)
	must(t, s.Port().Start(t.Context()))
	peer := &Solver{Dir: s.Dir, Listen: addr, Log: s.Log}
	must(t, peer.Solve(t.Context(), challenge, func(ctx context.Context) error { return askAt(ctx, addr, challenge) }))
	other := &Solver{Dir: t.TempDir() + "/other", Listen: addr, Log: s.Log}
	err := other.Solve(t.Context(), challenge, func(context.Context) error { return errors.New("the CA was asked") })
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(problem.Remedy(err), "[tls-alpn] listen") {
		t.Errorf("error = %v (%s), want the address in use", err, problem.Remedy(err))
	}
}

// A response that a killed process left is withdrawn, and swept a day later.
func TestLeftBehind(t *testing.T) {
	s, _ := newSolver(t)
	must(t, s.files().Publish("a.test", "a.test "+keyAuth))
	s.Withdraw(challenge)
	s.Withdraw(challenge)
	must(t, s.files().Publish("b.test", "b.test "+keyAuth))
	old := time.Now().Add(-25 * time.Hour)
	must(t, os.Chtimes(filepath.Join(s.Dir, "b.test"), old, old))
	must(t, s.Port().Start(t.Context()))
	if left, err := os.ReadDir(s.Dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
