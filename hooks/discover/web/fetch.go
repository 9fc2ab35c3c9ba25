package web

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"keypaird/hooks/discover/records"
	"keypaird/hooks/probe"
	"keypaird/renew/netaddr"
)

// Bounds, whatever web servers send.
const (
	maxRedirects = 10
	maxFetches   = 150      // requests of one discovery
	MaxDocument  = 50 << 10 // the limit of Synapse; the Matrix specification has none
	maxHeader    = 64 << 10
	maxTries     = 4 // addresses of the target of a redirect
)

// A Fetcher fetches documents over TLS. Its bounds are those of one discovery.
type Fetcher struct {
	// Home is the host of the domain that is looked at. Documents lead to no addresses
	// of other hosts that are more private than those of its own (see package netaddr);
	// empty, or without an address: they may be anywhere.
	Home string

	resolver *records.Resolver
	roots    *x509.CertPool // nil: the system's
	timeout  time.Duration  // of one document with its redirects
	dial     Dial
	log      *slog.Logger
	slots    chan struct{} // one for each running request

	mu      sync.Mutex
	fetched int
}

// A Dial connects to an address, as net.Dialer.DialContext does.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// NewFetcher returns a Fetcher that trusts the roots, or the system's for nil. A nil
// dial means net.Dialer's.
func NewFetcher(resolver *records.Resolver, roots *x509.CertPool, timeout time.Duration, dial Dial, log *slog.Logger) *Fetcher {
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	return &Fetcher{resolver: resolver, roots: roots, timeout: timeout, dial: dial, log: log, slots: make(chan struct{}, 16)}
}

// With returns a Fetcher with the same settings that uses another resolver.
func (f *Fetcher) With(resolver *records.Resolver) *Fetcher {
	after := NewFetcher(resolver, f.roots, f.timeout, f.dial, f.log)
	after.Home = f.Home
	return after
}

// Limit returns how private the addresses of a host may be. Those that were given are
// configured, and those of the domain and of hosts below it are its owner's choice.
func (f *Fetcher) Limit(ctx context.Context, host string) netaddr.Scope {
	if f.Home == "" || f.resolver.Given(host) || host == f.Home || strings.HasSuffix(host, "."+f.Home) {
		return netaddr.Loopback
	}
	return netaddr.Limit(f.resolver.Addresses(ctx, f.Home).Addrs)
}

// limitFor is Limit for a request that has led to host. Where a redirect leads may be no
// more private than where it came from.
func (f *Fetcher) limitFor(ctx context.Context, e FetchRequest, host string) netaddr.Scope {
	limit := f.Limit(ctx, host)
	if host != e.URL.Hostname() && !f.resolver.Given(host) {
		limit = min(limit, netaddr.Of(e.addr))
	}
	return limit
}

// A FetchRequest is a request for one document.
type FetchRequest struct {
	URL      *url.URL
	Host     string // Host header; empty: the URL's
	addr     netip.Addr
	follow   bool // redirects
	MaxBytes int64
}

// A Redirect is a response that may redirect.
type Redirect struct {
	URL    *url.URL
	Code   int
	Header http.Header
}

// A Response is the final response from one address.
type Response struct {
	Redirect             // the last response
	Via       []Redirect // the ones before
	Body      []byte
	untrusted string // why the certificate is not trusted; empty: it is
	err       error  // there is no response
	unclear   bool   // err may be local: others may get a response
}

// fetch sends a request. It follows redirects over https only, and never from a
// host with a certificate that is not trusted. One time limit covers all
// redirects.
func (f *Fetcher) fetch(ctx context.Context, e FetchRequest) Response {
	within, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	p := Response{Redirect: Redirect{URL: e.URL}}
	for {
		addrs, err := f.whereTo(ctx, e, &p)
		if err == nil {
			err = f.get(within, e, &p, addrs)
		}
		if err != nil {
			if p.err = err; within.Err() != nil {
				p.err, p.unclear = errors.New("no complete answer in time"), true
			}
			p.unclear = p.unclear || maybeLocal(err) || errors.Is(err, probe.ErrUnsupported)
			return p
		}
		next := location(&p)
		if !e.follow || next == nil || p.untrusted != "" {
			return p
		}
		p.Via = append(p.Via, p.Redirect)
		if p.err, p.unclear = refuse(next, p.Via); p.err != nil {
			return p
		}
		p.Redirect = Redirect{URL: next}
	}
}

// refuse returns why a redirect is not followed; unclear: some peers follow it.
func refuse(next *url.URL, via []Redirect) (err error, unclear bool) {
	switch {
	case next.Scheme != "https":
		return fmt.Errorf("redirects to %.200q, which is not https: some peers follow it and some do not", next.String()), true
	case NotURLHost(next):
		return fmt.Errorf("redirects to %.200q, which is not a host", next.Host), false
	case slices.ContainsFunc(via, func(h Redirect) bool { return h.URL.String() == next.String() }):
		return fmt.Errorf("redirect loop at %.200q", next.String()), false
	case len(via) > maxRedirects:
		return fmt.Errorf("more than %d redirects", maxRedirects), false
	}
	return nil, false
}

// whereTo returns the addresses to try for the URL of p: that of the request, or
// those of another host after a redirect.
func (f *Fetcher) whereTo(ctx context.Context, e FetchRequest, p *Response) ([]netip.Addr, error) {
	if p.URL.Hostname() == e.URL.Hostname() {
		return []netip.Addr{e.addr}, nil
	}
	at := f.resolver.Addresses(ctx, p.URL.Hostname())
	switch at.State {
	case records.Found:
		return at.Addrs[:min(len(at.Addrs), maxTries)], nil
	case records.Undetermined:
		p.unclear = true
	}
	return nil, fmt.Errorf("redirected there: %s", at.Why)
}

// location returns the target of a redirect, or nil.
func location(p *Response) *url.URL {
	switch p.Code {
	case 301, 302, 303, 307, 308:
	default:
		return nil
	}
	next, err := p.URL.Parse(p.Header.Get("Location"))
	if err != nil || p.Header.Get("Location") == "" {
		return nil
	}
	next.User, next.Fragment = nil, "" // no credentials are sent
	next.Host = strings.ToLower(next.Host)
	return next
}

// NotURLHost reports whether the host or port of a URL is not valid.
func NotURLHost(u *url.URL) bool {
	_, err := PortOf(u)
	if ip, ipErr := netip.ParseAddr(u.Hostname()); ipErr == nil {
		return err != nil || ip.Zone() != "" || ip.IsUnspecified()
	}
	return err != nil || records.HostFault(u.Hostname(), true) != ""
}

// PortOf returns the port of a URL, 443 if there is none.
func PortOf(u *url.URL) (uint16, error) {
	if u.Port() == "" {
		return 443, nil
	}
	return records.ParsePort(u.Port())
}

// get sends one request to the first address that accepts a connection.
func (f *Fetcher) get(ctx context.Context, e FetchRequest, p *Response, addrs []netip.Addr) error {
	if !f.countFetch() {
		p.unclear = true
		return fmt.Errorf("gave up after %d requests", maxFetches)
	}
	select {
	case f.slots <- struct{}{}:
		defer func() { <-f.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL.String(), nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "keypaird")
	if req.Host = p.URL.Host; e.Host != "" {
		req.Host = e.Host
	}
	to, limit := p.URL, f.limitFor(ctx, e, p.URL.Hostname())
	var distrust atomic.Pointer[string] // a dial may outlive its request a little
	transport := &http.Transport{
		// Transport would not end a dial with its request.
		DialTLSContext: func(context.Context, string, string) (net.Conn, error) {
			return f.connect(ctx, to, addrs, limit, &distrust)
		},
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeader,
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		return plainError(err)
	}
	defer res.Body.Close()
	p.Code, p.Header, p.untrusted = res.StatusCode, res.Header, ""
	if why := distrust.Load(); why != nil {
		p.untrusted = *why
	}
	if p.Body, err = io.ReadAll(io.LimitReader(res.Body, e.MaxBytes+1)); err != nil {
		return fmt.Errorf("reading: %w", plainError(err))
	}
	if int64(len(p.Body)) > e.MaxBytes {
		p.Body = p.Body[:min(len(p.Body), 1000)] // IsPage needs the start
		return fmt.Errorf("more than %d bytes", e.MaxBytes)
	}
	f.log.Debug("fetched", "url", p.URL.String(), "address", addrs[0], "status", p.Code, "bytes", len(p.Body), "untrusted", p.untrusted)
	return nil
}

func (f *Fetcher) countFetch() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fetched++
	return f.fetched <= maxFetches
}

// connect dials the addresses in order and does the handshake with the first that
// accepts. A certificate that is not trusted is recorded in distrust and is no
// error.
func (f *Fetcher) connect(ctx context.Context, to *url.URL, addrs []netip.Addr, limit netaddr.Scope, distrust *atomic.Pointer[string]) (net.Conn, error) {
	port, err := PortOf(to)
	if err != nil {
		return nil, err
	}
	var last error
	for i, addr := range addrs {
		if last = limit.Check(addr); last != nil {
			continue
		}
		try, cancel := ctx, context.CancelFunc(func() {})
		if i < len(addrs)-1 {
			try, cancel = context.WithTimeout(ctx, f.timeout/time.Duration(len(addrs)))
		}
		conn, err := f.dial(try, "tcp", net.JoinHostPort(addr.String(), strconv.Itoa(int(port))))
		cancel()
		if err == nil {
			return f.handshake(ctx, conn, to.Hostname(), distrust)
		}
		last = err
	}
	return nil, last
}

func (f *Fetcher) handshake(ctx context.Context, conn net.Conn, host string, distrust *atomic.Pointer[string]) (net.Conn, error) {
	tc := tls.Client(conn, &tls.Config{
		ServerName:         host, // an IP address is not sent
		NextProtos:         []string{"http/1.1"},
		InsecureSkipVerify: true, // verified here:
		VerifyConnection: func(cs tls.ConnectionState) error {
			if why := untrusted(cs.PeerCertificates, f.roots, host); why != "" {
				distrust.Store(&why)
			}
			return nil
		},
	})
	if err := tc.HandshakeContext(ctx); err != nil {
		conn.Close()
		if probe.IsUnsupported(err) {
			return nil, fmt.Errorf("TLS handshake: %w: %w", probe.ErrUnsupported, plainError(err))
		}
		return nil, fmt.Errorf("TLS handshake: %w", plainError(err))
	}
	return tc, nil
}

// untrusted returns why a chain is not trusted for a host, or "". Only certificates
// that the server sent count: peers do not fetch missing intermediates.
func untrusted(chain []*x509.Certificate, roots *x509.CertPool, host string) string {
	if len(chain) == 0 {
		return "no certificate"
	}
	o := x509.VerifyOptions{Roots: roots, DNSName: host, Intermediates: x509.NewCertPool()}
	for _, c := range chain[1:] {
		o.Intermediates.AddCert(c)
	}
	if _, err := chain[0].Verify(o); err != nil {
		return err.Error()
	}
	return ""
}

// plainError drops the addresses and system calls from an error of a connection.
func plainError(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	if call, ok := errors.AsType[*os.SyscallError](err); ok {
		return call.Err
	}
	return err
}

// maybeLocal reports whether an error may come from this machine or its network, so
// that peers may not get it.
func maybeLocal(err error) bool {
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return true
	}
	for _, e := range []error{
		netaddr.ErrRefused, syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.EADDRNOTAVAIL, syscall.EAFNOSUPPORT,
		syscall.EACCES, syscall.EPERM, syscall.ETIMEDOUT, syscall.EMFILE, syscall.ENFILE,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// Hops returns all responses, the last one included; none if the document is
// supposed.
func (p *Response) Hops() []Redirect {
	if p.URL == nil {
		return nil
	}
	return append(slices.Clone(p.Via), p.Redirect)
}
