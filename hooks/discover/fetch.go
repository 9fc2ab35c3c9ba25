package discover

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
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Bounds on what a web server may make us do.
const (
	maxRedirects = 10
	maxFetches   = 150      // requests in one Discover
	maxDocument  = 50 << 10 // as Synapse has it; the Matrix specification names no bound
	maxHeader    = 64 << 10
	maxTries     = 4 // addresses of a host that was redirected to
)

// A Fetcher gets documents over TLS. Its bounds are those of one discovery.
type Fetcher struct {
	resolver *Resolver
	roots    *x509.CertPool // nil: the system's
	timeout  time.Duration  // of one document with its redirects
	log      *slog.Logger
	slots    chan struct{} // requests under way

	mu      sync.Mutex
	fetched int
}

// newFetcher returns a Fetcher that trusts the roots, or the system's for nil.
func newFetcher(resolver *Resolver, roots *x509.CertPool, timeout time.Duration, log *slog.Logger) *Fetcher {
	return &Fetcher{resolver: resolver, roots: roots, timeout: timeout, log: log, slots: make(chan struct{}, 16)}
}

// with returns a Fetcher with the same bounds that finds hosts by resolver.
func (f *Fetcher) with(resolver *Resolver) *Fetcher {
	return newFetcher(resolver, f.roots, f.timeout, f.log)
}

// An errand is one document to get from one address.
type errand struct {
	url    *url.URL
	host   string // Host header; empty: the URL's
	addr   netip.Addr
	follow bool  // redirects
	most   int64 // bytes
}

// A hop is a page that redirected.
type hop struct {
	url    *url.URL
	status int
	header http.Header
}

// A page is what came back from one address.
type page struct {
	hop              // the last one
	via       []hop  // the ones before
	body      []byte //
	untrusted string // why the certificate of url is not trusted; empty: it is
	err       error  // there is no page
	unclear   bool   // err may be ours alone: others may see the page
}

// visit runs an errand. Redirects are followed by https only and never from a
// host whose certificate is not trusted. The whole visit has one time limit,
// whatever is sent how slowly.
func (f *Fetcher) visit(ctx context.Context, e errand) page {
	within, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	p := page{hop: hop{url: e.url}}
	for {
		addrs, err := f.whereTo(ctx, e, &p)
		if err == nil {
			err = f.get(within, e, &p, addrs)
		}
		if err != nil {
			if p.err = err; within.Err() != nil {
				p.err, p.unclear = errors.New("no whole answer in time"), true
			}
			p.unclear = p.unclear || notOurs(err)
			return p
		}
		next := location(&p)
		if !e.follow || next == nil || p.untrusted != "" {
			return p
		}
		p.via = append(p.via, p.hop)
		if p.err, p.unclear = refuse(next, p.via); p.err != nil {
			return p
		}
		p.hop = hop{url: next}
	}
}

// refuse says why a redirect is not followed; unclear if some peers do it.
func refuse(next *url.URL, via []hop) (err error, unclear bool) {
	switch {
	case next.Scheme != "https":
		return fmt.Errorf("redirects to %.200q, which is not https: some peers follow it and some do not", next.String()), true
	case notURLHost(next):
		return fmt.Errorf("redirects to %.200q, which is no host", next.Host), false
	case slices.ContainsFunc(via, func(h hop) bool { return h.url.String() == next.String() }):
		return fmt.Errorf("redirects in circles, at %.200q", next.String()), false
	case len(via) > maxRedirects:
		return fmt.Errorf("more than %d redirects", maxRedirects), false
	}
	return nil, false
}

// whereTo gives the addresses to try for the page's URL: the one that is being
// looked at while it is on its host.
func (f *Fetcher) whereTo(ctx context.Context, e errand, p *page) ([]netip.Addr, error) {
	if p.url.Hostname() == e.url.Hostname() {
		return []netip.Addr{e.addr}, nil
	}
	at := f.resolver.addresses(ctx, p.url.Hostname())
	switch at.state {
	case Found:
		return at.addrs[:min(len(at.addrs), maxTries)], nil
	case Undetermined:
		p.unclear = true
	}
	return nil, fmt.Errorf("redirected to %s: %s", p.url.Hostname(), at.why)
}

// location is where a page redirects to.
func location(p *page) *url.URL {
	switch p.status {
	case 301, 302, 303, 307, 308:
	default:
		return nil
	}
	next, err := p.url.Parse(p.header.Get("Location"))
	if err != nil || p.header.Get("Location") == "" {
		return nil
	}
	next.User, next.Fragment = nil, "" // nobody's credentials are sent
	next.Host = strings.ToLower(next.Host)
	return next
}

// notURLHost tells whether a URL's host is none we go to.
func notURLHost(u *url.URL) bool {
	_, err := portOf(u)
	if ip, ipErr := netip.ParseAddr(u.Hostname()); ipErr == nil {
		return err != nil || ip.Zone() != "" || ip.IsUnspecified()
	}
	return err != nil || notHost(u.Hostname(), true) != ""
}

// portOf is a URL's port, 443 if there is none.
func portOf(u *url.URL) (uint16, error) {
	if u.Port() == "" {
		return 443, nil
	}
	return parsePort(u.Port())
}

// get makes one request, to the first of the addresses that takes it.
func (f *Fetcher) get(ctx context.Context, e errand, p *page, addrs []netip.Addr) error {
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
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url.String(), nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "keypaird")
	if req.Host = p.url.Host; e.host != "" {
		req.Host = e.host
	}
	to := p.url
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
		return plainer(err)
	}
	defer res.Body.Close()
	p.status, p.header, p.untrusted = res.StatusCode, res.Header, ""
	if why := distrust.Load(); why != nil {
		p.untrusted = *why
	}
	if p.body, err = io.ReadAll(io.LimitReader(res.Body, e.most+1)); err != nil {
		return fmt.Errorf("reading: %w", plainer(err))
	}
	if int64(len(p.body)) > e.most {
		p.body = nil
		return fmt.Errorf("more than %d bytes", e.most)
	}
	f.log.Debug("fetched", "url", p.url.String(), "address", addrs[0], "status", p.status, "bytes", len(p.body), "untrusted", p.untrusted)
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
	port, err := portOf(to)
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
		return nil, fmt.Errorf("TLS handshake: %w", plainer(err))
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

// notOurs tells whether a failure may be due to where we are, so that others
// may fare better.
func notOurs(err error) bool {
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

// hops are all pages on the way, the last one included; none if the page is
// supposed.
func (p *page) hops() []hop {
	if p.url == nil {
		return nil
	}
	return append(slices.Clone(p.via), p.hop)
}
