package tlsalpn01

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"keypaird/acme"
	"keypaird/acme/responder/front"
	"keypaird/renew/netaddr"
	"keypaird/renew/sockets"
)

const (
	handshakeTimeout = 2 * time.Second
	askTimeout       = 10 * time.Second // as CAs have it
	acceptPause      = 50 * time.Millisecond
)

// A server answers handshakes until it is closed.
type server struct {
	ls      []net.Listener
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// Serve answers handshakes at sockets in the background until it is closed. response
// returns the response for a server name; see Solver.Name.
func Serve(ls []net.Listener, response func(name string) (string, error)) io.Closer {
	ctx, cancel := context.WithCancel(context.Background())
	s := &server{ls: ls, cancel: cancel}
	conf := &tls.Config{
		MinVersion: tls.VersionTLS12, SessionTicketsDisabled: true,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) { return respond(hello, response) },
	}
	bounded := new(front.Front)
	for _, l := range ls {
		s.running.Go(func() { s.accept(ctx, bounded.Listen(l), conf) })
	}
	return s
}

// accept answers the handshakes at one socket until ctx ends.
func (s *server) accept(ctx context.Context, l net.Listener, conf *tls.Config) {
	for ctx.Err() == nil {
		conn, err := l.Accept()
		if err != nil { // closed, or out of files for a moment
			select {
			case <-ctx.Done():
			case <-time.After(acceptPause):
			}
			continue
		}
		s.running.Go(func() {
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(handshakeTimeout))
			peer := tls.Server(&proxiedConn{Conn: conn, r: bufio.NewReader(conn)}, conf)
			if peer.HandshakeContext(ctx) == nil {
				_ = peer.CloseWrite() // nothing follows (RFC 8737, section 3)
			}
		})
	}
}

// A proxiedConn skips the line that nginx puts before a connection it passes on with
// proxy_protocol: a TLS record never begins like it.
type proxiedConn struct {
	net.Conn
	r     *bufio.Reader
	begun bool
}

func (c *proxiedConn) Read(p []byte) (int, error) {
	const longest = 107 // with its end of line
	if !c.begun {
		c.begun = true
		if start, err := c.r.Peek(6); err == nil && string(start) == "PROXY " {
			for range longest {
				if b, err := c.r.ReadByte(); err != nil || b == '\n' {
					break
				}
			}
		}
	}
	return c.r.Read(p)
}

// Close stops listening, breaks the handshakes and waits for their end.
func (s *server) Close() error {
	s.cancel()
	for _, l := range s.ls {
		l.Close()
	}
	s.running.Wait()
	return nil
}

var errNoChallenge = errors.New("no challenge of that name")

// respond returns the configuration that answers the challenge of a handshake.
func respond(hello *tls.ClientHelloInfo, response func(string) (string, error)) (*tls.Config, error) {
	name := strings.ToLower(hello.ServerName)
	if !slices.Contains(hello.SupportedProtos, Protocol) || !isServerName(name) {
		return nil, errNoChallenge
	}
	if c, ok := hello.Conn.(*proxiedConn).Conn.(*front.Conn); ok {
		c.Requested()
	}
	content, err := response(name)
	if err != nil {
		return nil, errNoChallenge
	}
	identifier, keyAuth, _ := strings.Cut(content, " ")
	pair, err := certificate(identifier, keyAuth)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, SessionTicketsDisabled: true, NextProtos: []string{Protocol}, Certificates: []tls.Certificate{*pair},
	}, nil
}

// askAt returns nil if the response to c is served at addr.
func askAt(ctx context.Context, addr string, c acme.Challenge) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	conn, err := sockets.Dial(ctx, net.Dialer{ControlContext: netaddr.Loopback.Control}, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	peer := tls.Client(conn, &tls.Config{
		ServerName: serverName(c.Identifier), NextProtos: []string{Protocol}, MinVersion: tls.VersionTLS12,
		InsecureSkipVerify: true, // the certificate is self-signed; check reads it
	})
	if err := peer.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("handshake with ALPN %s: %w", Protocol, err)
	}
	return check(peer.ConnectionState(), c.Identifier, c.KeyAuth)
}
