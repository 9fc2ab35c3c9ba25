package acme

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"keypaird/acme/orderlog"
	"keypaird/renew/textfmt"
)

const (
	maxBody        = 1 << 20          // no answer of a CA needs more
	maxHeader      = 64 << 10         // nor of its headers
	maxKept        = 32 << 10         // of an answer that is looked at later
	requestTimeout = 90 * time.Second // one request and its answer
)

// newTransport returns the connections to one CA. Orders run side by side, so
// more than net/http's two idle connections are kept.
func newTransport(ca CA) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = &tls.Config{RootCAs: ca.Roots, MinVersion: tls.VersionTLS12}
	t.ForceAttemptHTTP2 = false // measured: orders side by side share one connection badly
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 64, 64
	t.ResponseHeaderTimeout = requestTimeout
	t.MaxResponseHeaderBytes = maxHeader
	return t
}

// An answer is what lego's api does not pass on of a response.
type answer struct {
	status     int
	body       []byte      // nil if it is longer than maxKept
	header     http.Header // Date and Link
	retryAfter time.Time   // zero: none given
}

// A guard is the RoundTripper of one session, and nothing goes to the CA but
// through it. lego's api knows no contexts, trusts the form of answers and hides
// their headers; the guard gives every request the job's context and a deadline,
// bounds bodies, makes every error a well-formed problem document, and remembers
// the last answer of each URL. It sends no order that is not in the order log.
type guard struct {
	base      http.RoundTripper
	directory *directoryCache
	watch     *watch

	mu        sync.Mutex
	ctx       context.Context   // of the job that holds the session
	reserve   reserver          // of that job; nil: it may order nothing
	answers   map[string]answer // by URL
	resources map[string]string // by URL, as the job calls them
}

// A reserver notes a request before it is sent, or returns why it may not be.
type reserver func(ctx context.Context, kind orderlog.Kind) error

// begin gives the session to a job.
func (g *guard) begin(ctx context.Context) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ctx, g.reserve, g.answers, g.resources = ctx, nil, map[string]answer{}, map[string]string{}
}

// end lets go of what the job was told.
func (g *guard) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.reserve = nil
	clear(g.answers)
	clear(g.resources)
}

// reserveWith lets the job order: reserve is called first.
func (g *guard) reserveWith(reserve reserver) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.reserve = reserve
}

// is says what is at a URL, spelled as the CA spelled it, before it is asked.
func (g *guard) is(spelled, resource string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.resources[normal(spelled)] = resource
}

// answer returns the last answer of url, spelled as the CA spelled it.
func (g *guard) answer(spelled string) answer {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.answers[normal(spelled)]
}

// normal is a URL as requests carry it.
func normal(spelled string) string {
	u, err := url.Parse(spelled)
	if err != nil {
		return ""
	}
	return u.String()
}

// job is what the guard knows of a request: whose it is and what it asks for.
func (g *guard) job(req *http.Request) (ctx context.Context, reserve reserver, resource string) {
	g.mu.Lock()
	ctx, reserve, resource = g.ctx, g.reserve, g.resources[req.URL.String()]
	g.mu.Unlock()
	if resource == "" {
		resource = g.directory.resource(req.URL.String())
	}
	return ctx, reserve, resource
}

// RoundTrip implements http.RoundTripper.
func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	parent, reserve, resource := g.job(req)
	if err := parent.Err(); err != nil {
		return nil, err
	}
	if resp := g.directory.response(req); resp != nil {
		return resp, nil
	}
	if !g.directory.serves(req.URL) {
		return nil, fmt.Errorf("the CA sends us to %q, which its directory does not name", textfmt.OneLine(req.URL.Host, 253))
	}
	if kind := g.counted(req, resource); kind != "" {
		if reserve == nil {
			return nil, &unsentError{errors.New("nothing was to be ordered")}
		}
		if err := reserve(parent, kind); err != nil {
			return nil, &unsentError{err}
		}
	}
	began := time.Now()
	status, resp, err := g.exchange(parent, req, resource)
	if parent.Err() == nil { // an interrupt says nothing of the CA
		g.watch.observed(Exchange{Method: req.Method, Resource: resource, Status: status, Took: time.Since(began)})
	}
	return resp, err
}

// counted returns the kind of a request that the order log counts, "" for others.
func (g *guard) counted(req *http.Request, resource string) orderlog.Kind {
	switch {
	case req.Method != http.MethodPost:
		return ""
	case g.directory.orders(req.URL.String()):
		return orderlog.NewOrder
	case resource == resFinalize:
		return orderlog.Finalize
	}
	return ""
}

// exchange sends a request and reads the answer. Without a status there was
// none, or not all of it.
func (g *guard) exchange(parent context.Context, req *http.Request, resource string) (int, *http.Response, error) {
	ctx, cancel := context.WithTimeoutCause(parent, requestTimeout, errSlow)
	defer cancel()
	sent := time.Now()
	resp, err := g.base.RoundTrip(req.WithContext(ctx))
	if err != nil {
		return 0, nil, cause(ctx, err)
	}
	defer resp.Body.Close()
	g.watch.compare(resp.Header, sent, time.Now())
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return 0, nil, cause(ctx, fmt.Errorf("reading the answer of %s: %w", req.URL.Host, err))
	}
	if len(body) > maxBody {
		return 0, nil, fmt.Errorf("answer of %s is longer than %d bytes", req.URL.Host, maxBody)
	}
	location := resp.Header.Get("Location")
	if resp.StatusCode/100 == 3 && req.Method == http.MethodPost {
		return resp.StatusCode, nil, fmt.Errorf("%s answers with a redirect to %q", req.URL.Host, textfmt.OneLine(location, maxDetail))
	}
	aside := resp.StatusCode < 200 || resp.StatusCode/100 == 3 && location == "" // lego takes it for success
	if aside || resp.StatusCode/100 == 2 && isGarbled(resource, body) {
		return resp.StatusCode, nil, &garbledError{req.URL.Host, resource, textfmt.OneLine(string(body[:min(len(body), 64)]), 64)}
	}
	g.directory.keep(req, resp.StatusCode, body)
	if resp.StatusCode >= 400 {
		body = problemBody(resp.StatusCode, body)
	}
	g.remember(req, resp, body)
	resp.Body = io.NopCloser(bytes.NewReader(body))
	resp.ContentLength = int64(len(body))
	return resp.StatusCode, resp, nil
}

// remember keeps of an answer what is looked at later, and no more: an order
// of many names has many.
func (g *guard) remember(req *http.Request, resp *http.Response, body []byte) {
	a := answer{
		status: resp.StatusCode, retryAfter: retryAfter(resp.Header, time.Now()),
		header: http.Header{"Date": resp.Header["Date"], "Link": resp.Header["Link"]},
	}
	if len(body) <= maxKept {
		a.body = body
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.answers[req.URL.String()] = a
}

var errSlow = errors.New("no answer in 90 s")

// cause prefers the reason a context ended to net/http's words for it.
func cause(ctx context.Context, err error) error {
	if c := context.Cause(ctx); c != nil {
		return c
	}
	return err
}

// An unsentError reports a request that was not sent, for a reason of ours.
type unsentError struct{ err error }

func (e *unsentError) Error() string { return "not sent: " + e.err.Error() }
func (e *unsentError) Unwrap() error { return e.err }
