package child

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"

	"keypaird/renew/fleet/wire"
)

// A probe is the result of dialing one endpoint.
type probe struct {
	url      string
	notAfter time.Time     // of its certificate; zero: not seen
	failure  *wire.Failure // nil: it can be used
}

// probeAgain is how long the result of a probe holds.
const probeAgain = 2 * time.Second

// probe dials all endpoints: clientv3 has no errors with facts.
func (c *connection) probe(ctx context.Context) []probe {
	c.probing.Lock()
	defer c.probing.Unlock()
	if time.Since(c.at) < probeAgain && c.probed != nil {
		return c.probed
	}
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	probes := make([]probe, len(c.settings.Endpoints))
	var all sync.WaitGroup
	for i, endpoint := range c.settings.Endpoints {
		all.Go(func() {
			probes[i] = probe{url: endpoint}
			if err := c.dial(ctx, &probes[i]); err != nil {
				probes[i].failure = c.explain(err)
			}
		})
	}
	all.Wait()
	if ctx.Err() != context.Canceled {
		c.probed, c.at = probes, time.Now()
	}
	return probes
}

// dial connects to an endpoint as the client does, as far as it learns whether the server
// takes the certificate.
func (c *connection) dial(ctx context.Context, p *probe) error {
	u, err := url.Parse(p.url)
	if err != nil {
		return err
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	if c.tls != nil {
		session := tls.Client(conn, c.seeing(u.Hostname(), p))
		if err := session.HandshakeContext(ctx); err != nil {
			return err
		}
		conn = session
	}
	err = greet(conn)
	if c.tls == nil && errors.Is(err, io.EOF) {
		return errNoHTTP2 // it wants TLS
	}
	return err
}

// seeing returns the settings of a handshake that notes the server's certificate before
// it is verified.
func (c *connection) seeing(host string, p *probe) *tls.Config {
	config := c.tls.Clone()
	config.ServerName, config.NextProtos = host, []string{"h2"}
	config.InsecureSkipVerify = true // VerifyConnection verifies
	config.VerifyConnection = func(s tls.ConnectionState) error {
		p.notAfter = s.PeerCertificates[0].NotAfter
		chain := x509.VerifyOptions{Roots: c.tls.RootCAs, DNSName: host, Intermediates: x509.NewCertPool()}
		for _, cert := range s.PeerCertificates[1:] {
			chain.Intermediates.AddCert(cert)
		}
		_, err := s.PeerCertificates[0].Verify(chain)
		return err
	}
	return config
}

// errNoHTTP2 is the error of a server that speaks another protocol.
var errNoHTTP2 = errors.New("it does not speak HTTP/2")

// greet begins HTTP/2. With TLS 1.3 the server refuses our certificate only now.
func greet(conn net.Conn) error {
	const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" // RFC 9113, section 3.4
	if _, err := conn.Write([]byte(preface)); err != nil {
		return err
	}
	first := make([]byte, 1) // of the length of a frame, which has three bytes
	if _, err := conn.Read(first); err != nil {
		return err
	}
	if first[0] != 0 {
		return errNoHTTP2
	}
	return nil
}

// explain says what an error of dial means.
func (c *connection) explain(err error) *wire.Failure {
	if name, ok := errors.AsType[x509.HostnameError](err); ok {
		names := append([]string{}, name.Certificate.DNSNames...)
		for _, ip := range name.Certificate.IPAddresses {
			names = append(names, ip.String())
		}
		return &wire.Failure{Kind: wire.WrongServer, Text: fmt.Sprintf("its certificate is for %s, and not for %s", strings.Join(names, ", "), name.Host),
			Remedy: "write a name of the certificate in engine of [fleet], or give etcd one that has this name or address"}
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return &wire.Failure{Kind: wire.WrongServer, Text: "its certificate is of a CA that is not trusted",
			Remedy: "name the certificate of that CA in [fleet]: tls = { ca = ... }"}
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		text := "its certificate is not valid"
		if invalid.Reason == x509.Expired {
			text = "its certificate is valid from " + invalid.Cert.NotBefore.UTC().Format(time.RFC3339) + " to " + invalid.Cert.NotAfter.UTC().Format(time.RFC3339)
		}
		return &wire.Failure{Kind: wire.WrongServer, Text: text, Remedy: "give etcd a certificate that is valid, and see that the clock of this machine is right"}
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return &wire.Failure{Kind: wire.WrongServer, Text: "it does not speak TLS", Remedy: "write http:// in engine of [fleet], or better: start etcd with TLS"}
	}
	if errors.Is(err, errNoHTTP2) {
		return &wire.Failure{Kind: wire.WrongServer, Text: err.Error() + " without TLS", Remedy: "write https:// in engine of [fleet], and the port on which etcd serves clients"}
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" { // an alert
		text := "it refuses a client without a certificate"
		if !c.notAfter.IsZero() {
			text = fmt.Sprintf("it refuses the client certificate %q, valid until %s", c.user, c.notAfter.UTC().Format(time.RFC3339))
		}
		return &wire.Failure{Kind: wire.Refused, Text: fmt.Sprintf("%s (%v)", text, op.Err),
			Remedy: "name in [fleet] tls a valid client certificate of the CA that etcd has as --trusted-ca-file"}
	}
	return &wire.Failure{Kind: wire.Unreachable, Text: reason(err), Remedy: "start etcd there (its log says why it ended, such as a full disk), or correct engine in [fleet]"}
}

// reason returns what a network error comes down to.
func reason(err error) string {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return dns.Err
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno.Error()
	}
	if n, ok := errors.AsType[net.Error](err); ok && n.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		return "it does not answer"
	}
	return err.Error()
}
