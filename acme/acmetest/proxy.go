package acmetest

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"
)

// A Fault changes requests to a CA or its answers. Any layer for [Options.Wrap] is one.
type Fault = func(next http.Handler) http.Handler

// A Proxy is a reverse proxy between a client and a CA: the same URLs, a connection of
// its own on each side, and the fault that was set. It speaks HTTP/1.1, as broken proxies
// do.
type Proxy struct {
	Directory string // URL of the CA's directory, through the proxy

	server    *http.Server
	served    chan error
	transport *http.Transport
	issuer    *issuer
	end       func() error
	wires     sync.WaitGroup

	mu      sync.Mutex
	forward http.Handler // to the CA
	handler http.Handler // that and the fault
	pair    tls.Certificate
	wire    func(net.Conn) // instead of TLS; nil means TLS
	conns   map[net.Conn]bool
}

// StartProxy starts a proxy without a fault before a CA. The caller closes it.
func StartProxy(ca *CA) (*Proxy, error) {
	to, err := url.Parse(ca.Directory)
	if err != nil {
		return nil, fmt.Errorf("starting proxy: %w", err)
	}
	pool, err := Pool(ca.Roots)
	if err != nil {
		return nil, fmt.Errorf("starting proxy: %w", err)
	}
	p := &Proxy{
		served: make(chan error, 1), issuer: ca.issuer, conns: map[net.Conn]bool{},
		transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, MaxIdleConnsPerHost: 64},
	}
	p.end = sync.OnceValue(p.close)
	if err := p.Present(Genuine); err != nil {
		return nil, fmt.Errorf("starting proxy: %w", err)
	}
	quiet := log.New(io.Discard, "", 0)
	p.forward = &httputil.ReverseProxy{
		// The CA makes URLs, and checks signatures, by the host of the request.
		Rewrite:   func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = to.Scheme, to.Host },
		Transport: p.transport,
		ErrorLog:  quiet,
	}
	p.handler = p.forward
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting proxy: %w", err)
	}
	p.Directory = "https://" + ln.Addr().String() + to.Path
	p.server = &http.Server{
		Handler:           http.HandlerFunc(p.serve),
		TLSConfig:         &tls.Config{GetCertificate: p.choose, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12},
		TLSNextProto:      map[string]func(*http.Server, *tls.Conn, http.Handler){},
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          quiet,
		ConnContext:       rememberConn,
		ConnState:         p.track,
	}
	go func() { p.served <- p.server.ServeTLS(wireListener{ln, p}, "", "") }()
	return p, nil
}

// Set gives the proxy a fault in place of the one it had. Nil means none.
func (p *Proxy) Set(f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handler = p.forward
	if f != nil {
		p.handler = f(p.forward)
	}
}

// Present gives the proxy another identity. Open connections are closed.
func (p *Proxy) Present(as Identity) error {
	pair, err := p.issuer.issue(as)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.pair = pair
	p.mu.Unlock()
	p.drop()
	return nil
}

// Wire lets f serve new connections, without TLS, and closes them after it. Nil means TLS
// again. Open connections are closed.
func (p *Proxy) Wire(f func(net.Conn)) {
	p.mu.Lock()
	p.wire = f
	p.mu.Unlock()
	p.drop()
}

// track records the open connections.
func (p *Proxy) track(conn net.Conn, s http.ConnState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch s {
	case http.StateNew:
		p.conns[conn] = true
	case http.StateClosed, http.StateHijacked:
		delete(p.conns, conn)
	}
}

// drop closes the open connections.
func (p *Proxy) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		if t, ok := conn.(*tls.Conn); ok {
			conn = t.NetConn() // without a word
		}
		conn.Close()
	}
}

func (p *Proxy) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	h := p.handler
	p.mu.Unlock()
	h.ServeHTTP(w, r)
}

func (p *Proxy) choose(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return &p.pair, nil
}

// wireListener hands connections to the proxy's wire, if there is one.
type wireListener struct {
	net.Listener
	p *Proxy
}

func (l wireListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		l.p.mu.Lock()
		wire := l.p.wire
		l.p.mu.Unlock()
		if wire == nil {
			return conn, nil
		}
		l.p.wires.Go(func() {
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			wire(conn)
		})
	}
}

// Close stops the proxy, but not the CA. It may be called again.
func (p *Proxy) Close() error { return p.end() }

func (p *Proxy) close() error {
	err := p.server.Close()
	if serr := <-p.served; !errors.Is(serr, http.ErrServerClosed) {
		err = errors.Join(err, serr)
	}
	p.wires.Wait()
	p.transport.CloseIdleConnections()
	return err
}
