package acme

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
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

const (
	maxDetail = 512  // of what a CA says; it is not ours to print at length
	maxText   = 4096 // of what is looked through
)

// newHTTPTransport returns the connections to one CA. Orders run side by side, so
// more than net/http's two idle connections are kept.
func newHTTPTransport(ca CA) *http.Transport {
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

// A transport is the RoundTripper of one session, and nothing goes to the CA but
// through it. lego's api knows no contexts, trusts the form of answers and hides
// their headers; the transport gives every request the job's context and a deadline,
// bounds bodies, makes every error a well-formed problem document, and remembers
// the last answer of each URL. It sends no order that is not in the order log.
type transport struct {
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

// attach gives the session to a job.
func (g *transport) attach(ctx context.Context) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ctx, g.reserve, g.answers, g.resources = ctx, nil, map[string]answer{}, map[string]string{}
}

// detach forgets what belongs to the job.
func (g *transport) detach() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.reserve = nil
	clear(g.answers)
	clear(g.resources)
}

// reserveWith lets the job order: reserve is called first.
func (g *transport) reserveWith(reserve reserver) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.reserve = reserve
}

// label names the resource at a URL, spelled as the CA spelled it, before it is
// requested.
func (g *transport) label(spelled, resource string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.resources[normal(spelled)] = resource
}

// answer returns the last answer of url, spelled as the CA spelled it.
func (g *transport) answer(spelled string) answer {
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

// context returns the job of a request and the resource that it is about.
func (g *transport) context(req *http.Request) (ctx context.Context, reserve reserver, resource string) {
	g.mu.Lock()
	ctx, reserve, resource = g.ctx, g.reserve, g.resources[req.URL.String()]
	g.mu.Unlock()
	if resource == "" {
		resource = g.directory.resource(req.URL.String())
	}
	return ctx, reserve, resource
}

// RoundTrip implements http.RoundTripper.
func (g *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	parent, reserve, resource := g.context(req)
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
func (g *transport) counted(req *http.Request, resource string) orderlog.Kind {
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
func (g *transport) exchange(parent context.Context, req *http.Request, resource string) (int, *http.Response, error) {
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
	if aside || resp.StatusCode/100 == 2 && isMalformed(resource, body) {
		return resp.StatusCode, nil, &malformedError{req.URL.Host, resource, textfmt.OneLine(string(body[:min(len(body), 64)]), 64)}
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
func (g *transport) remember(req *http.Request, resp *http.Response, body []byte) {
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

// An Exchange is one request to a CA and what became of it.
type Exchange struct {
	CA       string
	Method   string
	Resource string        // directory nonce account order authz challenge finalize cert renewal-info revoke other
	Status   int           // of HTTP; 0: no answer, or not all of it
	Took     time.Duration // until the answer was read
}

// What an Exchange can be about.
const (
	resDirectory   = "directory"
	resNonce       = "nonce"
	resAccount     = "account"
	resOrder       = "order"
	resAuthz       = "authz"
	resChallenge   = "challenge"
	resFinalize    = "finalize"
	resCert        = "cert"
	resRenewalInfo = "renewal-info"
	resRevoke      = "revoke"
	resOther       = "other"
)

// maxApart is how far two clocks may be apart without a word: certificates are
// valid from up to an hour before they are issued, and no human sets a clock by
// the second.
const maxApart = 5 * time.Minute

// A watch looks at what passes between a client and its CA.
type watch struct {
	ca      string
	log     *slog.Logger
	observe func(Exchange) // may be nil

	mu    sync.Mutex
	ahead time.Duration
	known bool
	apart bool // and so it was said
}

func (w *watch) observed(x Exchange) {
	if w.observe != nil {
		x.CA = w.ca
		w.observe(x)
	}
}

// compare looks at the Date (RFC 9110, section 6.6.1) of an answer to a request
// that was sent and answered at these times by our clock. The warning is said
// once, until the clocks agree again.
func (w *watch) compare(h http.Header, sent, answered time.Time) {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return
	}
	ahead := difference(date, sent, answered)
	w.mu.Lock()
	was := w.apart
	w.ahead, w.known, w.apart = ahead, true, ahead.Abs() > maxApart
	now := w.apart
	w.mu.Unlock()
	switch {
	case now && !was:
		w.log.Warn("clock differs", "ca", w.ca, "by", ahead)
	case was && !now:
		w.log.Info("clock agrees again", "ca", w.ca)
	}
}

// difference is how far a clock that showed date is ahead of one that showed
// sent before and answered after, as far as that is certain: Date has whole
// seconds, and nobody knows how long the answer was on its way.
func difference(date, sent, answered time.Time) time.Duration {
	if d := date.Sub(answered.Round(0)); d > 0 {
		return d
	}
	if d := date.Add(time.Second).Sub(sent.Round(0)); d < 0 {
		return d
	}
	return 0
}

// retryAfter reads a Retry-After header: seconds or a date (RFC 9110, section
// 10.2.3), which is by the CA's clock if Date is there. It is zero for a header
// that is invalid or in the past.
func retryAfter(h http.Header, now time.Time) time.Time {
	v := h.Get("Retry-After")
	if s, err := strconv.ParseUint(v, 10, 31); err == nil && s > 0 {
		return now.Add(time.Duration(s) * time.Second)
	}
	t, err := http.ParseTime(v)
	if date, e := http.ParseTime(h.Get("Date")); err == nil && e == nil {
		t = now.Add(t.Sub(date))
	}
	if err == nil && t.After(now) {
		return t
	}
	return time.Time{}
}

// A malformedError reports a good status with an answer that is not of its kind
// at all: cut off, or the page of a proxy. The CA may well have done what it was
// asked, and the same request may be answered later.
type malformedError struct {
	host, resource, begins string
}

func (e *malformedError) Error() string {
	return fmt.Sprintf("the answer of %s is no %s: %q", e.host, e.resource, e.begins)
}

// isMalformed reports whether the body of a good answer is none of its resource.
func isMalformed(resource string, body []byte) bool {
	switch resource {
	case resDirectory, resAccount, resChallenge:
		return !json.Valid(body) || bytes.TrimLeft(body, " \t\r\n")[0] != '{'
	case resOrder, resAuthz, resFinalize:
		var object struct{ Status string } // RFC 8555, sections 7.1.3 and 7.1.4
		return json.Unmarshal(body, &object) != nil || object.Status == ""
	case resCert:
		return !hasWholeBlocks(body)
	}
	return false
}

// hasWholeBlocks reports whether there are PEM blocks, and none of them is cut
// off.
func hasWholeBlocks(data []byte) bool {
	block, rest := pem.Decode(data)
	found := block != nil
	for block != nil {
		data = rest
		block, rest = pem.Decode(data)
	}
	return found && len(bytes.TrimSpace(data)) == 0
}

const (
	maxProblem     = 64 << 10 // a problem document that is longer is none
	maxSubproblems = 100
)

// ownNS begins the types of problems that lego must not know: it would send the
// request again by itself, after a wait that is deaf to contexts and without a
// word to us.
const (
	ownNS    = "urn:keypaird:"
	badNonce = ownNS + "badNonce"
)

// keptFromLego are those.
var keptFromLego = []string{"badNonce", "alreadyReplaced"}

// problemBody returns body as a problem document (RFC 7807) that lego can read
// whatever the CA, or a proxy before it, really sent: HTML, null, numbers as
// text. The status is that of the response.
func problemBody(status int, body []byte) []byte {
	var fields map[string]json.RawMessage
	if len(body) <= maxProblem {
		_ = json.Unmarshal(body, &fields) // not an object: no fields
	}
	p := map[string]any{"status": status, "type": "about:blank"}
	for _, key := range []string{"type", "detail", "instance"} {
		var s string
		if json.Unmarshal(fields[key], &s) == nil && s != "" {
			p[key] = s
		}
	}
	if i := slices.IndexFunc(keptFromLego, func(kind string) bool { return p["type"] == errNS+kind }); i >= 0 {
		p["type"] = ownNS + keptFromLego[i]
	}
	var subs []struct {
		Type       string `json:"type"`
		Detail     string `json:"detail"`
		Identifier struct {
			Type  string `json:"type"`
			Value string `json:"value"`
		} `json:"identifier"`
	}
	if json.Unmarshal(fields["subproblems"], &subs) == nil && len(subs) > 0 {
		p["subproblems"] = subs[:min(len(subs), maxSubproblems)]
	}
	if p["detail"] == nil {
		p["detail"] = http.StatusText(status)
	}
	out, _ := json.Marshal(p) // strings and numbers always marshal
	return out
}

const errNS = "urn:ietf:params:acme:error:"
