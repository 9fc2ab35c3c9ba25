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

	"keypaird/renew/sockets"
)

// A Probe is one connection to an endpoint.
type Probe struct {
	Endpoint Endpoint
	Addr     netip.Addr // address of the host to connect to; zero: any
	SNI      string     // empty, or an IP address: none is sent
	To       string     // the domain an XMPP stream is opened to; empty: SNI, or else the host
	ALPN     []string   // protocols to send; nil: the protocol's default
	// KeyType is of the certificate to request where the server has several for a
	// name, x509.ECDSA or x509.RSA; zero: the one that the server prefers.
	KeyType x509.PublicKeyAlgorithm
}

// A Result is the chain that an endpoint served, or the error.
type Result struct {
	Chain   []*x509.Certificate // leaf first, at least one
	Version uint16              // of TLS, as crypto/tls names it
}

// A Stage is the part of a probe that failed.
type Stage int

// Stages.
const (
	Connecting  Stage = iota // no connection
	Talking                  // before TLS
	Handshaking              // of TLS
)

// An Error reports why an endpoint served no certificate.
type Error struct {
	Endpoint Endpoint
	Addr     netip.Addr // zero: any
	Stage    Stage
	TimedOut bool // the probe's time limit ended it
	Err      error
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s: %v", At(e.Endpoint, e.Addr), e.Err)
}

// At describes an address of an endpoint.
func At(e Endpoint, addr netip.Addr) string {
	if !addr.IsValid() || addr.String() == e.Host {
		return e.String()
	}
	return fmt.Sprintf("%s at %s", e, addr)
}

func (e *Error) Unwrap() error { return e.Err }

// Run connects to the endpoint and returns the chain it serves. The handshake
// verifies that the server holds the leaf's key; [Check] evaluates the chain.
// Time and bytes are bounded. Errors are of type *Error.
//
// With a KeyType, a certificate of another type is only returned if the server has
// none of that type for clients that accept no other.
func (p Probe) Run(ctx context.Context) (Result, error) {
	s, err := p.run(ctx, restriction{})
	only := restriction{suites: suitesFor(p.KeyType)}
	if err != nil || only.suites == nil || s.Chain[0].PublicKeyAlgorithm == p.KeyType {
		return s, err
	}
	if other, err := p.withKeyType(ctx, s.Version); err == nil {
		return other, nil
	}
	return s, nil
}

// OtherKey returns what the endpoint serves to clients that accept no certificate of
// the key type it has served so far; an error means nothing, as a rule.
func (p Probe) OtherKey(ctx context.Context, s Result) (Result, error) {
	p.KeyType = x509.RSA
	if s.Chain[0].PublicKeyAlgorithm == x509.RSA {
		p.KeyType = x509.ECDSA
	}
	other, err := p.withKeyType(ctx, s.Version)
	if err == nil && other.Chain[0].PublicKeyAlgorithm != p.KeyType {
		err = errTLS13
	}
	return other, err
}

// withKeyType returns what is served to clients that accept no other key type.
func (p Probe) withKeyType(ctx context.Context, version uint16) (Result, error) {
	if version == tls.VersionTLS13 {
		if s, err := p.run(ctx, restriction{keyType: p.KeyType}); err == nil {
			return s, nil
		}
	}
	return p.run(ctx, restriction{suites: suitesFor(p.KeyType)})
}

// A restriction limits what a client accepts in a handshake; the zero value: nothing is
// limited.
type restriction struct {
	suites  []uint16                // of TLS 1.2 alone
	keyType x509.PublicKeyAlgorithm // with TLS 1.3 alone
}

// suitesFor returns the cipher suites of TLS 1.2 with certificates of a key type; nil:
// the type is not distinguished.
func suitesFor(keyType x509.PublicKeyAlgorithm) []uint16 {
	switch keyType {
	case x509.ECDSA:
		return []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA,
		}
	case x509.RSA:
		return []uint16{
			tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
			tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA,
		}
	}
	return nil
}

// run is Run with a restriction.
func (p Probe) run(ctx context.Context, only restriction) (Result, error) {
	proto := lookup(p.Endpoint.Proto)
	if p.Endpoint.Proto == "" {
		proto = &protocols[0]
	}
	if proto == nil {
		return Result{}, &Error{Endpoint: p.Endpoint, Err: fmt.Errorf("unknown protocol %q", p.Endpoint.Proto)}
	}
	if rest, ok := strings.CutPrefix(p.SNI, "*."); ok {
		p.SNI = label + "." + rest
	}
	attempt, cancel := context.WithTimeout(ctx, proto.limit)
	defer cancel()
	conn, err := p.connect(attempt)
	if err != nil {
		return Result{}, p.failed(ctx, attempt, proto, Connecting, err)
	}
	defer conn.Close()
	s, stage, err := p.talk(attempt, proto, conn, only)
	if err != nil {
		return Result{}, p.failed(ctx, attempt, proto, stage, err)
	}
	return s, nil
}

// failed returns the error of a probe. It distinguishes a cancelled ctx from the
// probe's own time limit.
func (p Probe) failed(ctx, attempt context.Context, proto *protocol, stage Stage, err error) error {
	v := &Error{Endpoint: p.Endpoint, Addr: p.Addr, Stage: stage, Err: err}
	switch {
	case ctx.Err() != nil: // not the endpoint's failure
		v.Err = ctx.Err()
	case attempt.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded):
		v.TimedOut, v.Err = true, fmt.Errorf("gave up after %s", proto.limit)
	}
	return v
}

// connect opens a TCP connection to the endpoint.
func (p Probe) connect(ctx context.Context) (net.Conn, error) {
	e := p.Endpoint
	if p.Addr.IsValid() {
		e.Host = p.Addr.String()
	}
	conn, err := sockets.Dial(ctx, net.Dialer{}, "tcp", e.Addr())
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err // without "dial tcp ADDR:", which repeats the address
	}
	return conn, err
}

// talk runs the protocol's dialogue and the TLS handshake, within ctx.
func (p Probe) talk(ctx context.Context, proto *protocol, nc net.Conn, only restriction) (Result, Stage, error) {
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	conn := &boundedConn{Conn: nc, left: maxTalk}
	if proto.talk != nil {
		to := p.To
		if to == "" {
			to = p.SNI
		}
		if to == "" {
			to = p.Endpoint.Host
		}
		if err := newChat(conn).run(proto, to); err != nil {
			return Result{}, Talking, err
		}
	}
	conn.left = maxHandshake
	alpn := p.ALPN
	if alpn == nil {
		alpn = proto.alpn
	}
	s, err := handshake(ctx, conn, proto, p.SNI, alpn, only)
	return s, Handshaking, err
}

// handshake returns the chain served in a TLS handshake.
func handshake(ctx context.Context, conn net.Conn, proto *protocol, name string, alpn []string, only restriction) (Result, error) {
	if only.keyType != x509.UnknownPublicKeyAlgorithm {
		chain, err := handshake13(ctx, conn, name, alpn, only.keyType)
		return Result{Chain: chain, Version: tls.VersionTLS13}, err
	}
	conf := &tls.Config{
		ServerName: name, // an IP address is not sent
		NextProtos: alpn,
		// The caller compares fingerprints. The handshake still verifies
		// that the server holds the key of its certificate.
		InsecureSkipVerify: true,
		// No data is sent over this connection, so old servers may answer.
		MinVersion: tls.VersionTLS10,
	}
	if only.suites != nil {
		conf.MaxVersion, conf.CipherSuites = tls.VersionTLS12, only.suites
	} else {
		conf.CipherSuites = allSuites()
	}
	tc := tls.Client(conn, conf)
	if err := tc.HandshakeContext(ctx); err != nil {
		if IsUnsupported(err) {
			err = fmt.Errorf("%w: %w", ErrUnsupported, err)
		}
		if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
			if proto.talk != nil {
				return Result{}, fmt.Errorf("bytes that are not TLS came after the go-ahead: %w", ErrInjected)
			}
			return Result{}, errors.New("answers with something that is not TLS: check port and protocol")
		}
		if name == "" {
			return Result{}, fmt.Errorf("TLS handshake without a name: %w", hungUp(err))
		}
		return Result{}, fmt.Errorf("TLS handshake for %q: %w", name, hungUp(err))
	}
	state := tc.ConnectionState()
	if len(state.PeerCertificates) == 0 {
		return Result{}, errors.New("no certificate in the handshake")
	}
	return Result{Chain: state.PeerCertificates, Version: state.Version}, nil
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
