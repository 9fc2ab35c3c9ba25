package probe

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// Bytes read from an endpoint at most: before TLS, and in the handshake.
const (
	maxTalk      = 64 << 10
	maxHandshake = 1 << 20
)

// label stands in for the "*" of a wildcard.
const label = "keypaird-probe"

// errTooMuch says that an endpoint went on talking.
var errTooMuch = errors.New("the server sends more than any server should: gave up reading")

// A StaleError reports an endpoint that serves another certificate.
type StaleError struct {
	Endpoint   Endpoint
	ServerName string    // the name that was asked for
	Got, Want  string    // fingerprints: SHA-256 of the certificate, lower-case hex
	NotAfter   time.Time // of the certificate served
}

func (e *StaleError) Error() string {
	return fmt.Sprintf("%s serves certificate %.16s for %q, not %.16s",
		e.Endpoint, e.Got, e.ServerName, e.Want)
}

// Remedy says what the operator can do about it.
func (e *StaleError) Remedy() string {
	return "check that the proxy's configuration names the deployed files and that its reload took effect"
}

// Verify asks e for serverName and returns nil if it serves want. A different
// certificate is a *StaleError; other errors say why there was none to see.
func Verify(ctx context.Context, e Endpoint, serverName string, want *x509.Certificate) error {
	chain, err := Dial(ctx, e, serverName)
	if err != nil {
		return err
	}
	if got := chain[0]; !bytes.Equal(got.Raw, want.Raw) {
		return &StaleError{
			Endpoint: e, ServerName: serverName, NotAfter: got.NotAfter,
			Got: fingerprint(got), Want: fingerprint(want),
		}
	}
	return nil
}

func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// Dial goes to e, asks for serverName and returns the chain served, leaf
// first, at least one certificate long. The server has shown that it holds the
// leaf's key; whether the chain is to be trusted is not looked at.
//
// A wildcard is asked for with a label in place of "*", an IP address without
// SNI (RFC 6066, section 3). Time and bytes are bounded whatever the server
// does.
func Dial(ctx context.Context, e Endpoint, serverName string) ([]*x509.Certificate, error) {
	p := lookup(e.Proto)
	if e.Proto == "" {
		p = &protocols[0]
	}
	if p == nil {
		return nil, fmt.Errorf("%s: unknown protocol %q", e, e.Proto)
	}
	if rest, ok := strings.CutPrefix(serverName, "*."); ok {
		serverName = label + "." + rest
	}
	visit, cancel := context.WithTimeout(ctx, p.limit)
	defer cancel()
	chain, err := dial(visit, p, e, serverName)
	switch {
	case err == nil:
		return chain, nil
	case ctx.Err() != nil: // an interrupt is not the endpoint's failure
		return nil, fmt.Errorf("%s: %w", e, ctx.Err())
	case visit.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded):
		return nil, fmt.Errorf("%s: gave up after %s", e, p.limit)
	}
	return nil, fmt.Errorf("%s: %w", e, err)
}

// dial is Dial without the wrapping of errors.
func dial(ctx context.Context, p *protocol, e Endpoint, name string) ([]*x509.Certificate, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", e.Addr())
	if err != nil {
		if op, ok := errors.AsType[*net.OpError](err); ok {
			err = op.Err // "dial tcp ADDR:" would say the address twice
		}
		return nil, err
	}
	defer nc.Close()
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	conn := &boundedConn{Conn: nc, left: maxTalk}
	if p.talk != nil {
		to := name
		if to == "" {
			to = e.Host
		}
		if err := newChat(conn).run(p, to); err != nil {
			return nil, err
		}
	}
	conn.left = maxHandshake
	return handshake(ctx, conn, p, name)
}

// handshake returns the chain shown in a TLS handshake.
func handshake(ctx context.Context, conn net.Conn, p *protocol, name string) ([]*x509.Certificate, error) {
	tc := tls.Client(conn, &tls.Config{
		ServerName: name, // an IP address is not sent
		NextProtos: p.alpn,
		// The caller compares fingerprints. The handshake still proves that
		// the server holds the key of what it shows.
		InsecureSkipVerify: true,
		// Nothing is sent over this connection: an old server is to be seen.
		MinVersion: tls.VersionTLS10,
	})
	if err := tc.HandshakeContext(ctx); err != nil {
		if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
			if p.talk != nil {
				return nil, errors.New("bytes that are not TLS came after the go-ahead: broken server, or somebody injects them")
			}
			return nil, errors.New("answers with something that is not TLS: check port and protocol")
		}
		return nil, fmt.Errorf("TLS handshake for %q: %w", name, err)
	}
	chain := tc.ConnectionState().PeerCertificates
	if len(chain) == 0 {
		return nil, errors.New("no certificate in the handshake")
	}
	return chain, nil
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
