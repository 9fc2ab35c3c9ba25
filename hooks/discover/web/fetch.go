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
)

// Bounds on what a web server may make us do.
const (
	maxRedirects = 10
	maxFetches   = 150      // requests in one Discover
	MaxDocument  = 50 << 10 // as Synapse has it; the Matrix specification names no bound
	maxHeader    = 64 << 10
	maxTries     = 4 // addresses of a host that was redirected to
)

// A Fetcher gets documents over TLS. Its bounds are those of one discovery.
type Fetcher struct {
	resolver *records.Resolver
	roots    *x509.CertPool // nil: the system's
	timeout  time.Duration  // of one document with its redirects
	log      *slog.Logger
	slots    chan struct{} // requests under way

	mu      sync.Mutex
	fetched int
}

// NewFetcher returns a Fetcher that trusts the roots, or the system's for nil.
func NewFetcher(resolver *records.Resolver, roots *x509.CertPool, timeout time.Duration, log *slog.Logger) *Fetcher {
	return &Fetcher{resolver: resolver, roots: roots, timeout: timeout, log: log, slots: make(chan struct{}, 16)}
}

// With returns a Fetcher with the same bounds that finds hosts by resolver.
func (f *Fetcher) With(resolver *records.Resolver) *Fetcher {
	return NewFetcher(resolver, f.roots, f.timeout, f.log)
}

// A FetchRequest is one document to get from one address.
type FetchRequest struct {
	URL      *url.URL
	Host     string // Host header; empty: the URL's
	addr     netip.Addr
	follow   bool  // redirects
	MaxBytes int64 // bytes
}

// A Redirect is a page that redirected.
type Redirect struct {
	URL    *url.URL
	Code   int
	Header http.Header
}

// A Response is what came back from one address.
type Response struct {
	Redirect             // the last one
	Via       []Redirect // the ones before
	Body      []byte     //
	untrusted string     // why the certificate of url is not trusted; empty: it is
	err       error      // there is no page
	unclear   bool       // err may be ours alone: others may see the page
}

// fetch runs an errand. Redirects are followed by https only and never from a
// host whose certificate is not trusted. The whole visit has one time limit,
// whatever is sent how slowly.
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
				p.err, p.unclear = errors.New("no whole answer in time"), true
			}
			p.unclear = p.unclear || maybeLocal(err)
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

// refuse says why a redirect is not followed; unclear if some peers do it.
func refuse(next *url.URL, via []Redirect) (err error, unclear bool) {
	switch {
	case next.Scheme != "https":
		return fmt.Errorf("redirects to %.200q, which is not https: some peers follow it and some do not", next.String()), true
	case NotURLHost(next):
		return fmt.Errorf("redirects to %.200q, which is no host", next.Host), false
	case slices.ContainsFunc(via, func(h Redirect) bool { return h.URL.String() == next.String() }):
		return fmt.Errorf("redirects in circles, at %.200q", next.String()), false
	case len(via) > maxRedirects:
		return fmt.Errorf("more than %d redirects", maxRedirects), false
	}
	return nil, false
}

// whereTo gives the addresses to try for the page's URL: the one that is being
// looked at while it is on its host.
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
	return nil, fmt.Errorf("redirected to %s: %s", p.URL.Hostname(), at.Why)
}

// location is where a page redirects to.
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
	next.User, next.Fragment = nil, "" // nobody's credentials are sent
	next.Host = strings.ToLower(next.Host)
	return next
}

// NotURLHost tells whether a URL's host is none we go to.
func NotURLHost(u *url.URL) bool {
	_, err := PortOf(u)
	if ip, ipErr := netip.ParseAddr(u.Hostname()); ipErr == nil {
		return err != nil || ip.Zone() != "" || ip.IsUnspecified()
	}
	return err != nil || records.HostFault(u.Hostname(), true) != ""
}

// PortOf is a URL's port, 443 if there is none.
func PortOf(u *url.URL) (uint16, error) {
	if u.Port() == "" {
		return 443, nil
	}
	return records.ParsePort(u.Port())
}

// get makes one request, to the first of the addresses that takes it.
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
	to := p.URL
	var distrust atomic.Pointer[string] // a dial may outlive its request a little
	transport := &http.Transport{
		// Transport would let a dial go on without the request, for ever.
		DialTLSContext: func(context.Context, string, string) (net.Conn, error) {
			return f.connect(ctx, to, addrs, &distrust)
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
		p.Body = nil
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

// connect dials one address after the other and does the handshake. A
// certificate that is not trusted is noted and no error: what is behind it
// says what peers miss.
func (f *Fetcher) connect(ctx context.Context, to *url.URL, addrs []netip.Addr, distrust *atomic.Pointer[string]) (net.Conn, error) {
	port, err := PortOf(to)
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	var last error
	for i, addr := range addrs {
		try, cancel := ctx, context.CancelFunc(func() {})
		if i < len(addrs)-1 {
			try, cancel = context.WithTimeout(ctx, f.timeout/time.Duration(len(addrs)))
		}
		conn, err := d.DialContext(try, "tcp", net.JoinHostPort(addr.String(), strconv.Itoa(int(port))))
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
		return nil, fmt.Errorf("TLS handshake: %w", plainError(err))
	}
	return tc, nil
}

// untrusted says why a chain is not to be trusted for a host, or "". Only what
// the server sent counts: peers do not fetch missing intermediates.
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

// maybeLocal tells whether a failure may be due to where we are, so that others
// may fare better.
func maybeLocal(err error) bool {
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return true
	}
	for _, e := range []error{
		syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.EADDRNOTAVAIL, syscall.EAFNOSUPPORT,
		syscall.EACCES, syscall.EPERM, syscall.ETIMEDOUT, syscall.EMFILE, syscall.ENFILE,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// Hops are all pages on the way, the last one included; none if the page is
// supposed.
func (p *Response) Hops() []Redirect {
	if p.URL == nil {
		return nil
	}
	return append(slices.Clone(p.Via), p.Redirect)
}
