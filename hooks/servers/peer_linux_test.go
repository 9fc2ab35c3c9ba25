package servers

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

// A visit is what a peer wants somewhere: the certificate for a name at a door.
type visit struct {
	door
	name string
}

func (v visit) String() string { return v.endpoint() + " for " + v.name }

// visit connects as a peer does, which trusts the CA alone. It has a STARTTLS of its
// own, and shares nothing with keypaird.
func (v visit) visit(ctx context.Context, roots *x509.CertPool) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", v.port))
	if err != nil {
		return err
	}
	defer conn.Close()
	end, _ := ctx.Deadline()
	if err := conn.SetDeadline(end); err != nil {
		return err
	}
	if ns := map[string]string{"xmpp-client": "jabber:client", "xmpp-server": "jabber:server"}[v.proto]; ns != "" {
		header := fmt.Sprintf("<?xml version='1.0'?><stream:stream to='%s' version='1.0' xmlns='%s' xmlns:stream='http://etherx.jabber.org/streams'>", v.name, ns)
		if err := ask(conn, header, "</stream:features>"); err != nil {
			return err
		}
		if err := ask(conn, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "<proceed"); err != nil {
			return err
		}
	}
	return tls.Client(conn, &tls.Config{ServerName: v.name, RootCAs: roots}).HandshakeContext(ctx)
}

// ask says something, and reads until the answer has a text in it.
func ask(conn net.Conn, say, until string) error {
	if _, err := conn.Write([]byte(say)); err != nil {
		return err
	}
	var heard []byte
	for buf := make([]byte, 4096); !bytes.Contains(heard, []byte(until)); {
		n, err := conn.Read(buf)
		if heard = append(heard, buf[:n]...); err != nil || bytes.Contains(heard, []byte("stream:error")) {
			return fmt.Errorf("%w: before TLS: %s", errors.Join(err, errors.New("no TLS")), heard)
		}
	}
	return nil
}

// Peers visit all doors again and again, and count what is wrong.
type peers struct {
	visits []visit
	roots  *x509.CertPool

	mu                           sync.Mutex
	closed                       map[string]bool // visits that somebody has made impossible
	good                         int
	refused, wrongNames, expired []string
}

// newPeers has peers begin, until the test ends.
func newPeers(t *testing.T, visits []visit) *peers {
	t.Helper()
	pem, err := os.ReadFile(rootFile)
	if err != nil {
		t.Fatal(err)
	}
	p := &peers{visits: visits, roots: x509.NewCertPool(), closed: map[string]bool{}}
	p.roots.AppendCertsFromPEM(pem)
	ctx, stop := context.WithCancel(context.Background())
	var work sync.WaitGroup
	for _, v := range visits {
		work.Go(func() {
			for ; ctx.Err() == nil; time.Sleep(200 * time.Millisecond) {
				p.note(ctx, v)
			}
		})
	}
	t.Cleanup(func() {
		stop()
		work.Wait()
	})
	return p
}

func (p *peers) note(ctx context.Context, v visit) {
	p.mu.Lock()
	before := p.closed[v.String()]
	p.mu.Unlock()
	began := time.Now()
	err := v.visit(ctx, p.roots)
	p.mu.Lock()
	defer p.mu.Unlock()
	var wrong x509.HostnameError
	var invalid x509.CertificateInvalidError
	said := fmt.Sprintf("%s, %s: %v", began.Format("15:04:05.000"), v, err)
	switch {
	case err == nil:
		p.good++
	case ctx.Err() != nil:
	case errors.As(err, &wrong):
		p.wrongNames = append(p.wrongNames, said)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		p.expired = append(p.expired, said)
	case !before && !p.closed[v.String()]:
		p.refused = append(p.refused, said)
	}
}

// close says which visits are impossible from now on, or possible again.
func (p *peers) close(closed bool, which func(visit) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, v := range p.visits {
		if which(v) {
			p.closed[v.String()] = closed
		}
	}
}

// judge fails the test for what was wrong so far.
func (p *peers) judge(t *testing.T) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for what, list := range map[string][]string{"refused": p.refused, "wrong names": p.wrongNames, "expired": p.expired} {
		for _, said := range list {
			t.Errorf("%s: %s", what, said)
		}
	}
	if p.good < 100 {
		t.Errorf("%d good visits, want many", p.good)
	}
	t.Logf("%d good visits, %d refused, %d wrong names, %d expired", p.good, len(p.refused), len(p.wrongNames), len(p.expired))
}

// dials reports whether somebody listens.
func dials(d door) bool {
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", d.port))
	if err == nil {
		conn.Close()
	}
	return err == nil
}
