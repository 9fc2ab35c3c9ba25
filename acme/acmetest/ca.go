package acmetest

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/letsencrypt/pebble/v2/db"
)

// Options configure a CA. The zero value is a CA that queries the system's resolver and
// validates http-01 on a free port.
type Options struct {
	Addr     string   // where the CA listens; empty means a free port of 127.0.0.1
	Names    []string // further names and addresses of the CA's own certificate
	Dir      string   // where the file of roots goes; empty means a temporary directory that Close removes
	DNS      string   // host:port of the DNS server the CA asks, over TCP; empty means the system's
	HTTPPort int      // port of every name where http-01 is validated; zero means one that is free now
	TLSPort  int      // likewise, of tls-alpn-01

	NonceReject int // good nonces refused, in percent; zero means 5, negative none
	AuthzReuse  int // orders that reuse a valid authorization, in percent; zero means 50, negative 1 (Pebble's least)

	EAB      map[string]string  // external account keys, base64url, by their id; empty means that none is asked for
	Profiles map[string]Profile // by name; empty means one, "default". Pebble takes any of them for an order that names none

	RetryAfterAuthz time.Duration // Retry-After of an authorization that is being validated, in whole seconds; zero means no header
	RetryAfterOrder time.Duration // Retry-After of an order that is being finalized, likewise

	AlternateRoots int      // further chains offered for each certificate
	ChainLength    int      // intermediates of a chain; zero means 1
	KeyAlgorithm   string   // of the CA's own keys, "ecdsa" or "rsa"; empty means "ecdsa"
	CAAIdentities  []string // what the CA calls itself in CAA and dns-persist-01; empty means pebble.letsencrypt.org
	Blocked        []string // domains the CA refuses, with all that is below them; Pebble breaks the connection when a shorter name is ordered

	Wrap func(http.Handler) http.Handler // laid around the CA; nil means nothing
	Log  io.Writer                       // what the CA has to say; nil means discard
}

// A Profile is one kind of certificate the CA issues.
type Profile struct {
	Description string
	Validity    time.Duration // zero means 90 days
	CommonName  bool          // put the first name into the subject too
}

// ShortLived returns two profiles like those of Let's Encrypt: "classic", of 90
// days and with a common name, and "shortlived", of 160 hours.
func ShortLived() map[string]Profile {
	return map[string]Profile{
		"classic":    {Description: "ninety days", CommonName: true},
		"shortlived": {Description: "160 hours", Validity: 160 * time.Hour},
	}
}

// A CA is Pebble in this process, behind a certificate of its own.
//
// Pebble gives no way to stop its validator, so each CA leaves one idle
// goroutine behind.
type CA struct {
	Directory string // URL of the ACME directory
	Roots     string // file with the root of the CA's own TLS certificate
	HTTPPort  int    // where http-01 is validated
	TLSPort   int    // where tls-alpn-01 is validated

	pebble  pebble
	server  *http.Server
	served  chan error
	conns   atomic.Int64
	tempDir string
	issuer  *issuer // of the CA's own TLS certificate
	end     func() error
}

// StartCA starts a CA. The caller closes it.
func StartCA(o Options) (*CA, error) {
	c := &CA{HTTPPort: o.HTTPPort, TLSPort: o.TLSPort, served: make(chan error, 1)}
	c.end = sync.OnceValue(c.close)
	dir := o.Dir
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "acmetest-ca-"); err != nil {
			return nil, fmt.Errorf("starting CA: %w", err)
		}
		c.tempDir = dir
	}
	if err := c.start(o, dir); err != nil {
		if c.tempDir != "" {
			os.RemoveAll(c.tempDir)
		}
		return nil, fmt.Errorf("starting CA: %w", err)
	}
	return c, nil
}

// start makes certificates, Pebble and the server, and begins to serve.
func (c *CA) start(o Options, dir string) error {
	if o.Log == nil {
		o.Log = io.Discard
	}
	logger := log.New(o.Log, "pebble: ", 0)
	var err error
	if c.HTTPPort == 0 {
		if c.HTTPPort, err = FreePort(); err != nil {
			return err
		}
	}
	if c.TLSPort == 0 {
		if c.TLSPort, err = FreePort(); err != nil {
			return err
		}
	}
	if c.issuer, err = newIssuer(); err != nil {
		return err
	}
	pair, err := c.issuer.issue(Genuine, o.Names...)
	if err != nil {
		return err
	}
	c.Roots = filepath.Join(dir, "roots.pem")
	if err := os.WriteFile(c.Roots, certPEM(c.issuer.root.Raw), 0o644); err != nil {
		return err
	}
	if c.pebble, err = newPebble(o, c.HTTPPort, c.TLSPort, logger); err != nil {
		return err
	}
	var handler http.Handler = newGate(c.pebble.handler, c.pebble.db)
	if o.Wrap != nil {
		handler = o.Wrap(handler)
	}
	ln, err := net.Listen("tcp", orLoopback(o.Addr))
	if err != nil {
		return err
	}
	c.Directory = "https://" + ln.Addr().String() + PathDirectory
	c.server = &http.Server{
		Handler:           handler,
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, // HTTP/2 and HTTP/1.1
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          logger,
		ConnState:         c.count,
		ConnContext:       rememberConn,
	}
	go func() { c.served <- c.server.ServeTLS(ln, "", "") }()
	return nil
}

// Close stops the CA: connections break, and its data is lost. It may be called again.
func (c *CA) Close() error { return c.end() }

func (c *CA) close() error {
	err := c.server.Close()
	if serr := <-c.served; !errors.Is(serr, http.ErrServerClosed) {
		err = errors.Join(err, serr)
	}
	if c.tempDir != "" {
		err = errors.Join(err, os.RemoveAll(c.tempDir))
	}
	return err
}

// Conns returns how many connections were made to the CA so far.
func (c *CA) Conns() int { return int(c.conns.Load()) }

func (c *CA) count(_ net.Conn, s http.ConnState) {
	if s == http.StateNew {
		c.conns.Add(1)
	}
}

// DB returns Pebble's database, for facts that no method here returns.
func (c *CA) DB() *db.MemoryStore { return c.pebble.db }

// FreePort returns a TCP port of 127.0.0.1 that was free a moment ago.
func FreePort() (int, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer ln.Close()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(port)
}

// orLoopback returns addr, or a free port of 127.0.0.1 if it is empty.
func orLoopback(addr string) string {
	if addr == "" {
		return "127.0.0.1:0"
	}
	return addr
}
