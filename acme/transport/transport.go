package transport

import (
	"bytes"
	"context"
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
	maxBody        = 1 << 20          // of an answer; none needs more
	maxHeader      = 64 << 10         // of its headers
	maxKept        = 32 << 10         // of a body that is remembered
	maxURL         = 512              // of a URL in a message
	requestTimeout = 90 * time.Second // one request and its answer
)

// A Transport is the RoundTripper of one session. It is used by one job at a time,
// which may send requests concurrently.
type Transport struct {
	server *Server
	base   http.RoundTripper

	mu        sync.Mutex
	ctx       context.Context   // of the job that holds the session
	reserve   Reserve           // of that job; nil: it may order nothing
	answers   map[string]Answer // by URL
	resources map[string]string // by URL, as the job labelled them
}

// A Reserve notes a request before it is sent, or returns why it must not be.
type Reserve func(ctx context.Context, kind orderlog.Kind) error

// An Answer is the part of a response that an ACME library does not pass on.
type Answer struct {
	Status     int
	Body       []byte      // nil if it is longer than 32 KiB
	Header     http.Header // Date and Link
	RetryAfter time.Time   // zero: none given
}

// An Error reports a request that was not sent, or an answer that was not passed
// on.
type Error struct {
	Err  error
	Sent bool // the answer is malformed: cut off, or the page of a proxy; the CA may have done what it was asked
}

func (e *Error) Error() string { return e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

// ErrSlow is the error of a request without an answer in time.
var ErrSlow = errors.New("no answer in 90 s")

// Attach gives the session to a job, which may order nothing yet.
func (t *Transport) Attach(ctx context.Context) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ctx, t.reserve, t.answers, t.resources = ctx, nil, map[string]Answer{}, map[string]string{}
}

// Detach forgets what belongs to the job.
func (t *Transport) Detach() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reserve = nil
	clear(t.answers)
	clear(t.resources)
}

// ReserveWith lets the job order: reserve is called before each newOrder and
// finalize request.
func (t *Transport) ReserveWith(reserve Reserve) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reserve = reserve
}

// Label names the resource at a URL, spelled as the CA spelled it, before it is
// requested.
func (t *Transport) Label(spelled, resource string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.resources[normal(spelled)] = resource
}

// Answer returns the last answer of a URL, spelled as the CA spelled it.
func (t *Transport) Answer(spelled string) Answer {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.answers[normal(spelled)]
}

// Client returns an HTTP client that sends its requests through t.
func (t *Transport) Client() *http.Client {
	return &http.Client{Transport: t, CheckRedirect: sameHost}
}

// normal returns a URL as requests carry it.
func normal(spelled string) string {
	u, err := url.Parse(spelled)
	if err != nil {
		return ""
	}
	return u.String()
}

// job returns the context and the Reserve of the job, and the resource of a request.
func (t *Transport) job(req *http.Request) (ctx context.Context, reserve Reserve, resource string) {
	t.mu.Lock()
	ctx, reserve, resource = t.ctx, t.reserve, t.resources[req.URL.String()]
	t.mu.Unlock()
	if resource == "" {
		resource = t.server.directory.resource(req.URL.String())
	}
	return ctx, reserve, resource
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	parent, reserve, resource := t.job(req)
	if err := parent.Err(); err != nil {
		return nil, err
	}
	if resp := t.server.directory.response(req); resp != nil {
		return resp, nil
	}
	if !t.server.directory.serves(req.URL) {
		return nil, fmt.Errorf("the CA sends us to %q, which its directory does not name", textfmt.OneLine(req.URL.Host, 253))
	}
	if kind := t.counted(req, resource); kind != "" {
		if reserve == nil {
			return nil, &Error{Err: errors.New("nothing was to be ordered")}
		}
		if err := reserve(parent, kind); err != nil {
			return nil, &Error{Err: err}
		}
	}
	began := time.Now()
	status, resp, err := t.exchange(parent, req, resource)
	if observe := t.server.observe; observe != nil && parent.Err() == nil { // an interrupt is not the CA's fault
		observe(Exchange{CA: t.server.ca, Method: req.Method, Resource: resource, Status: status, Took: time.Since(began)})
	}
	return resp, err
}

// counted returns the kind of a request that the order log counts, "" for others.
func (t *Transport) counted(req *http.Request, resource string) orderlog.Kind {
	switch {
	case req.Method != http.MethodPost:
		return ""
	case t.server.directory.orders(req.URL.String()):
		return orderlog.NewOrder
	case resource == ResourceFinalize:
		return orderlog.Finalize
	}
	return ""
}

// exchange sends a request and reads the answer. The status is 0 if there was none,
// or not all of it.
func (t *Transport) exchange(parent context.Context, req *http.Request, resource string) (int, *http.Response, error) {
	ctx, cancel := context.WithTimeoutCause(parent, requestTimeout, ErrSlow)
	defer cancel()
	sent := time.Now()
	resp, err := t.base.RoundTrip(req.WithContext(ctx))
	if err != nil {
		return 0, nil, cause(ctx, err)
	}
	defer resp.Body.Close()
	t.server.clock.compare(resp.Header, sent, time.Now())
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return 0, nil, cause(ctx, fmt.Errorf("reading the answer of %s: %w", req.URL.Host, err))
	}
	if len(body) > maxBody {
		return 0, nil, fmt.Errorf("answer of %s is longer than %d bytes", req.URL.Host, maxBody)
	}
	location := resp.Header.Get("Location")
	if resp.StatusCode/100 == 3 && req.Method == http.MethodPost {
		return resp.StatusCode, nil, fmt.Errorf("%s answers with a redirect to %q", req.URL.Host, textfmt.OneLine(location, maxURL))
	}
	aside := resp.StatusCode < 200 || resp.StatusCode/100 == 3 && location == "" // lego takes it for success
	if aside || resp.StatusCode/100 == 2 && isMalformed(resource, body) {
		begins := textfmt.OneLine(string(body[:min(len(body), 64)]), 64)
		return resp.StatusCode, nil, &Error{fmt.Errorf("the answer of %s is no %s: %q", req.URL.Host, resource, begins), true}
	}
	t.server.directory.keep(req, resp.StatusCode, body)
	if resp.StatusCode >= 400 {
		body = problemBody(resp.StatusCode, body)
	}
	t.remember(req, resp, body)
	resp.Body = io.NopCloser(bytes.NewReader(body))
	resp.ContentLength = int64(len(body))
	return resp.StatusCode, resp, nil
}

// remember keeps an Answer, and no more of the response: an order of many names has
// many answers.
func (t *Transport) remember(req *http.Request, resp *http.Response, body []byte) {
	a := Answer{
		Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header, time.Now()),
		Header: http.Header{"Date": resp.Header["Date"], "Link": resp.Header["Link"]},
	}
	if len(body) <= maxKept {
		a.Body = body
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.answers[req.URL.String()] = a
}

// cause prefers the reason a context ended to net/http's words for it.
func cause(ctx context.Context, err error) error {
	if c := context.Cause(ctx); c != nil {
		return c
	}
	return err
}
