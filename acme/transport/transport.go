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

	"keypaird/acme/answer"
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
	names     []string          // that it orders
	answers   map[string]Answer // by URL
	resources map[string]string // by URL, as the job labelled them
}

// A Reserve notes a request before it is sent, or returns why it must not be.
type Reserve func(ctx context.Context, kind orderlog.Kind) error

// An Answer is the part of a response that an ACME library does not pass on.
type Answer struct {
	Err        error // an *Error: it was not passed on at all
	Status     int
	Body       []byte      // nil if it is longer than 32 KiB
	Header     http.Header // Date and Link
	RetryAfter time.Time   // zero: none given
	Took       time.Duration
}

// An Error reports a request that was not sent, or an answer that was not passed
// on.
type Error struct {
	Err  error
	Kind Kind
}

// A Kind is the class of an Error.
type Kind int

const (
	NotSent    Kind = iota // the request was not sent: the job may not
	Malformed              // the answer is cut off, or the page of a proxy; the CA may have done what it was asked
	Unreadable             // the answer is of its kind, but not as RFC 8555 has it; the next one would be the same
	OtherHost              // the answer leads to a host that is not the CA's
	Wrong                  // the answer is about something else
)

func (e *Error) Error() string { return e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

// ErrSlow is the error of a request without an answer in time.
var ErrSlow = errors.New("no answer in 90 s")

// Attach gives the session to a job, which may order nothing yet.
func (t *Transport) Attach(ctx context.Context) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ctx, t.reserve, t.names, t.answers, t.resources = ctx, nil, nil, map[string]Answer{}, map[string]string{}
}

// Detach forgets what belongs to the job.
func (t *Transport) Detach() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reserve, t.names = nil, nil
	clear(t.answers)
	clear(t.resources)
}

// ReserveWith lets the job order names: reserve is called before each newOrder and
// finalize request. Answers then spell the names so.
func (t *Transport) ReserveWith(names []string, reserve Reserve) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.names, t.reserve = names, reserve
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
		return nil, &Error{fmt.Errorf("it sends this client to %s://%s, %w", req.URL.Scheme, textfmt.OneLine(req.URL.Host, 253), answer.ErrOtherHost), OtherHost}
	}
	if kind := t.counted(req, resource); kind != "" {
		if reserve == nil {
			return nil, &Error{errors.New("nothing was to be ordered"), NotSent}
		}
		if err := reserve(parent, kind); err != nil {
			return nil, &Error{err, NotSent}
		}
	}
	began := time.Now()
	status, resp, err := t.exchange(parent, req, resource)
	if e, ok := errors.AsType[*Error](err); ok {
		t.remember(req, Answer{Status: status, Err: e})
	}
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
		return 0, nil, &Error{fmt.Errorf("the answer of %s is longer than a megabyte", req.URL.Host), Malformed}
	}
	if body, err = t.read(req, resp, resource, body); err != nil {
		return resp.StatusCode, nil, err
	}
	if resp.StatusCode >= http.StatusBadRequest {
		resp.Header.Del("Location") // lego would take it for the account's
	}
	t.server.directory.keep(req, resp.StatusCode, body)
	a := newAnswer(resp, body)
	a.Took = time.Since(sent)
	t.remember(req, a)
	resp.Body = io.NopCloser(bytes.NewReader(body))
	resp.ContentLength = int64(len(body))
	return resp.StatusCode, resp, nil
}

// remember keeps an Answer.
func (t *Transport) remember(req *http.Request, a Answer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.answers[req.URL.String()] = a
}

// newAnswer returns what is kept of a response: an order of many names has many.
func newAnswer(resp *http.Response, body []byte) Answer {
	a := Answer{
		Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header, time.Now()),
		Header: http.Header{"Date": resp.Header["Date"], "Link": resp.Header["Link"]},
	}
	if len(body) <= maxKept {
		a.Body = body
	}
	return a
}

// cause prefers the reason a context ended to net/http's words for it.
func cause(ctx context.Context, err error) error {
	if c := context.Cause(ctx); c != nil {
		return c
	}
	return err
}
