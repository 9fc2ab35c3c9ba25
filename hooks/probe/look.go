package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"
)

// A Look is one visit to an endpoint.
type Look struct {
	Endpoint Endpoint
	Addr     netip.Addr // of the endpoint's host, to go to; zero: any
	SNI      string     // empty, or an IP address: none is sent
	To       string     // the domain an XMPP stream is opened to; empty: SNI, or else the host
	ALPN     []string   // offered; nil: what is usual for the protocol
}

// A Sight is what an endpoint showed.
type Sight struct {
	Chain   []*x509.Certificate // leaf first, at least one
	Version uint16              // of TLS, as crypto/tls names it
}

// A Stage is how far a visit got.
type Stage int

// Stages.
const (
	Connecting  Stage = iota // nobody was reached
	Talking                  // before TLS
	Handshaking              // of TLS
)

// A VisitError says why nothing was seen at an endpoint.
type VisitError struct {
	Endpoint Endpoint
	Addr     netip.Addr // zero: any
	Stage    Stage
	TimedOut bool // the endpoint took longer than a visit may
	Err      error
}

func (e *VisitError) Error() string {
	if !e.Addr.IsValid() || e.Addr.String() == e.Endpoint.Host {
		return fmt.Sprintf("%s: %v", e.Endpoint, e.Err)
	}
	return fmt.Sprintf("%s at %s: %v", e.Endpoint, e.Addr, e.Err)
}

func (e *VisitError) Unwrap() error { return e.Err }

// See goes there and returns what is shown. The server has shown that it holds
// the leaf's key; whether the chain is to be trusted is Judge's matter. Time
// and bytes are bounded whatever the server does. What goes wrong is a
// *VisitError.
func (l Look) See(ctx context.Context) (Sight, error) {
	p := lookup(l.Endpoint.Proto)
	if l.Endpoint.Proto == "" {
		p = &protocols[0]
	}
	if p == nil {
		return Sight{}, &VisitError{Endpoint: l.Endpoint, Err: fmt.Errorf("unknown protocol %q", l.Endpoint.Proto)}
	}
	if rest, ok := strings.CutPrefix(l.SNI, "*."); ok {
		l.SNI = label + "." + rest
	}
	visit, cancel := context.WithTimeout(ctx, p.limit)
	defer cancel()
	conn, err := l.connect(visit)
	if err != nil {
		return Sight{}, l.failed(ctx, visit, p, Connecting, err)
	}
	defer conn.Close()
	s, stage, err := l.visit(visit, p, conn)
	if err != nil {
		return Sight{}, l.failed(ctx, visit, p, stage, err)
	}
	return s, nil
}

// failed says why a visit failed, and whose limit ended it.
func (l Look) failed(ctx, visit context.Context, p *protocol, stage Stage, err error) error {
	v := &VisitError{Endpoint: l.Endpoint, Addr: l.Addr, Stage: stage, Err: err}
	switch {
	case ctx.Err() != nil: // an interrupt is not the endpoint's failure
		v.Err = ctx.Err()
	case visit.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded):
		v.TimedOut, v.Err = true, fmt.Errorf("gave up after %s", p.limit)
	}
	return v
}

// connect reaches the endpoint.
func (l Look) connect(ctx context.Context) (net.Conn, error) {
	e := l.Endpoint
	if l.Addr.IsValid() {
		e.Host = l.Addr.String()
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", e.Addr())
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err // "dial tcp ADDR:" would say the address twice
	}
	return conn, err
}

// visit gets through the talk and the handshake, within ctx.
func (l Look) visit(ctx context.Context, p *protocol, nc net.Conn) (Sight, Stage, error) {
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	conn := &boundedConn{Conn: nc, left: maxTalk}
	if p.talk != nil {
		to := l.To
		if to == "" {
			to = l.SNI
		}
		if to == "" {
			to = l.Endpoint.Host
		}
		if err := newChat(conn).run(p, to); err != nil {
			return Sight{}, Talking, err
		}
	}
	conn.left = maxHandshake
	alpn := l.ALPN
	if alpn == nil {
		alpn = p.alpn
	}
	s, err := handshake(ctx, conn, p, l.SNI, alpn)
	return s, Handshaking, err
}

// handshake returns what is shown in a TLS handshake.
func handshake(ctx context.Context, conn net.Conn, p *protocol, name string, alpn []string) (Sight, error) {
	tc := tls.Client(conn, &tls.Config{
		ServerName: name, // an IP address is not sent
		NextProtos: alpn,
		// The caller compares fingerprints. The handshake still proves that
		// the server holds the key of what it shows.
		InsecureSkipVerify: true,
		// Nothing is sent over this connection: an old server is to be seen.
		MinVersion: tls.VersionTLS10,
	})
	if err := tc.HandshakeContext(ctx); err != nil {
		if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
			if p.talk != nil {
				return Sight{}, fmt.Errorf("bytes that are not TLS came after the go-ahead: %w", ErrInjected)
			}
			return Sight{}, errors.New("answers with something that is not TLS: check port and protocol")
		}
		if name == "" {
			return Sight{}, fmt.Errorf("TLS handshake without a name: %w", hungUp(err))
		}
		return Sight{}, fmt.Errorf("TLS handshake for %q: %w", name, hungUp(err))
	}
	state := tc.ConnectionState()
	if len(state.PeerCertificates) == 0 {
		return Sight{}, errors.New("no certificate in the handshake")
	}
	return Sight{Chain: state.PeerCertificates, Version: state.Version}, nil
}

// A boundedConn stops reading after left bytes.
type boundedConn struct {
	net.Conn
	left int
}

func (c *boundedConn) Read(b []byte) (int, error) {
	if c.left <= 0 {
		return 0, errTooMuch
	}
	n, err := c.Conn.Read(b[:min(len(b), c.left)])
	c.left -= n
	return n, err
}
