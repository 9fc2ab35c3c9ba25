package acmetest

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// A Front is a TLS server like a proxy: it chooses a pair by the SNI name of a client,
// and reads new pairs only in Reload.
type Front struct {
	Addr string // host:port

	dir    string
	server *http.Server
	served chan error
	end    func() error

	mu    sync.Mutex
	pairs []tls.Certificate
}

// StartFront serves the pairs in dir at addr, an empty addr meaning a free port
// of 127.0.0.1. There need not be any yet. A pair is NAME.crt with NAME.key, or
// NAME/live/fullchain.pem with NAME/live/privkey.pem. The caller closes it.
func StartFront(addr, dir string) (*Front, error) {
	f := &Front{dir: dir, served: make(chan error, 1)}
	f.end = sync.OnceValue(f.close)
	if err := f.Reload(); err != nil {
		return nil, fmt.Errorf("starting front: %w", err)
	}
	ln, err := net.Listen("tcp", orLoopback(addr))
	if err != nil {
		return nil, fmt.Errorf("starting front: %w", err)
	}
	f.Addr = ln.Addr().String()
	f.server = &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "this is %s\n", r.TLS.ServerName)
		}),
		TLSConfig:         &tls.Config{GetCertificate: f.choose, MinVersion: tls.VersionTLS12},
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0), // handshakes without a pair
	}
	go func() { f.served <- f.server.ServeTLS(ln, "", "") }()
	return f, nil
}

// Reload reads the pairs again. If one of them cannot be used, the previous ones stay in
// use.
func (f *Front) Reload() error {
	pairs, err := loadPairs(f.dir)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pairs = pairs
	return nil
}

// loadPairs reads the pairs in dir.
func loadPairs(dir string) ([]tls.Certificate, error) {
	flat, err := filepath.Glob(filepath.Join(dir, "*.crt"))
	if err != nil {
		return nil, err
	}
	live, err := filepath.Glob(filepath.Join(dir, "*", "live", "fullchain.pem"))
	if err != nil {
		return nil, err
	}
	var pairs []tls.Certificate
	for _, chain := range append(flat, live...) {
		key := filepath.Join(filepath.Dir(chain), "privkey.pem")
		if base, ok := strings.CutSuffix(chain, ".crt"); ok {
			key = base + ".key"
		}
		pair, err := tls.LoadX509KeyPair(chain, key)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", chain, err)
		}
		if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return nil, fmt.Errorf("%s: %w", chain, err)
		}
		pairs = append(pairs, pair)
	}
	return pairs, nil
}

// choose returns the pair for the SNI name of a client.
func (f *Front) choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.pairs {
		if f.pairs[i].Leaf.VerifyHostname(hello.ServerName) == nil {
			return &f.pairs[i], nil
		}
	}
	return nil, fmt.Errorf("no pair for %q", hello.ServerName)
}

// Close stops the server. It may be called again.
func (f *Front) Close() error { return f.end() }

func (f *Front) close() error {
	err := f.server.Close()
	if serr := <-f.served; !errors.Is(serr, http.ErrServerClosed) {
		err = errors.Join(err, serr)
	}
	return err
}
