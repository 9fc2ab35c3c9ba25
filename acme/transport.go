package acme

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	legoacme "github.com/go-acme/lego/v4/acme"
)

const (
	maxBody        = 1 << 20          // no answer of a CA needs more
	requestTimeout = 90 * time.Second // one request and its answer
)

// badNonce is what the transport turns the CA's badNonce into. lego would wait
// at least 200 ms before it signs again, deaf to contexts; we sign again at once.
const badNonce = "urn:keypaird:badNonce"

// newTransport returns the connections to one CA. Orders run side by side, so
// more than net/http's two idle connections are kept.
func newTransport(ca CA) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = &tls.Config{RootCAs: ca.Roots, MinVersion: tls.VersionTLS12}
	t.ForceAttemptHTTP2 = false // measured: orders side by side share one connection badly
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 64, 64
	t.ResponseHeaderTimeout = requestTimeout
	return t
}

// An answer is what lego's api does not pass on of a response.
type answer struct {
	status     int
	body       []byte
	header     http.Header
	retryAfter time.Time // zero: none given
}

// A guard is the RoundTripper of one session. lego's api knows no contexts,
// trusts the form of answers and hides their headers; the guard gives every
// request the job's context and a deadline, bounds bodies, makes every error a
// well-formed problem document, and remembers the last answer of each URL.
type guard struct {
	base      http.RoundTripper
	directory *directoryCache

	mu      sync.Mutex
	ctx     context.Context   // of the job that holds the session
	answers map[string]answer // by URL
}

// begin gives the session to a job.
func (g *guard) begin(ctx context.Context) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ctx, g.answers = ctx, map[string]answer{}
}

// end lets go of what the job was told.
func (g *guard) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.answers)
}

// answer returns the last answer of url, spelled as the CA spelled it.
func (g *guard) answer(spelled string) answer {
	u, err := url.Parse(spelled)
	if err != nil {
		return answer{}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.answers[u.String()]
}

// RoundTrip implements http.RoundTripper.
func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	g.mu.Lock()
	parent := g.ctx
	g.mu.Unlock()
	if err := parent.Err(); err != nil {
		return nil, err
	}
	if resp := g.directory.response(req); resp != nil {
		return resp, nil
	}
	if !g.directory.serves(req.URL) {
		return nil, fmt.Errorf("the CA sends us to %q, which its directory does not name", oneLine(req.URL.Host, 253))
	}
	ctx, cancel := context.WithTimeoutCause(parent, requestTimeout, errSlow)
	defer cancel()
	resp, err := g.base.RoundTrip(req.WithContext(ctx))
	if err != nil {
		return nil, cause(ctx, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return nil, cause(ctx, fmt.Errorf("reading the answer of %s: %w", req.URL.Host, err))
	}
	if len(body) > maxBody {
		return nil, fmt.Errorf("answer of %s is longer than %d bytes", req.URL.Host, maxBody)
	}
	if resp.StatusCode/100 == 3 && req.Method == http.MethodPost {
		return nil, fmt.Errorf("%s answers with a redirect to %q", req.URL.Host, oneLine(resp.Header.Get("Location"), maxDetail))
	}
	if resp.StatusCode >= 400 {
		body = problemBody(resp.StatusCode, body)
	}
	a := answer{resp.StatusCode, body, resp.Header, retryAfter(resp.Header, time.Now())}
	g.mu.Lock()
	g.answers[req.URL.String()] = a
	g.mu.Unlock()
	g.directory.keep(req, a)
	resp.Body = io.NopCloser(bytes.NewReader(body))
	resp.ContentLength = int64(len(body))
	return resp, nil
}

var errSlow = errors.New("no answer in 90 s")

// cause prefers the reason a context ended to net/http's words for it.
func cause(ctx context.Context, err error) error {
	if c := context.Cause(ctx); c != nil {
		return c
	}
	return err
}

// problemBody returns body as a problem document (RFC 7807) that lego can read
// whatever the CA, or a proxy before it, really sent: HTML, null, numbers as
// text. The status is that of the response.
func problemBody(status int, body []byte) []byte {
	var fields map[string]json.RawMessage
	_ = json.Unmarshal(body, &fields) // not an object: no fields
	p := map[string]any{"status": status, "type": "about:blank"}
	for _, key := range []string{"type", "detail", "instance"} {
		var s string
		if json.Unmarshal(fields[key], &s) == nil && s != "" {
			p[key] = s
		}
	}
	if p["type"] == errNS+"badNonce" {
		p["type"] = badNonce
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
		p["subproblems"] = subs
	}
	if p["detail"] == nil {
		p["detail"] = http.StatusText(status)
	}
	out, _ := json.Marshal(p) // strings and numbers always marshal
	return out
}

// A directoryCache spares each session its own look at the directory. What is
// no directory is never kept.
type directoryCache struct {
	url string

	mu    sync.Mutex
	body  []byte
	at    time.Time
	hosts []string // that the directory names
}

// serves reports whether requests may go to u: to the directory's host, and to
// those the directory names, by https. What we sign is for no other.
func (d *directoryCache) serves(u *url.URL) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	own, err := url.Parse(d.url)
	return err == nil && u.Scheme == "https" && (u.Host == own.Host || slices.Contains(d.hosts, u.Host))
}

const directoryLife = time.Hour

// response answers a request for a directory that is known, or returns nil.
func (d *directoryCache) response(req *http.Request) *http.Response {
	d.mu.Lock()
	defer d.mu.Unlock()
	if req.Method != http.MethodGet || req.URL.String() != d.url || d.body == nil || time.Since(d.at) > directoryLife {
		return nil
	}
	return &http.Response{
		StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Request: req,
		Body: io.NopCloser(bytes.NewReader(d.body)), ContentLength: int64(len(d.body)),
	}
}

// keep remembers a good answer to a request for the directory.
func (d *directoryCache) keep(req *http.Request, a answer) {
	var dir legoacme.Directory
	if req.Method != http.MethodGet || req.URL.String() != d.url || a.status != http.StatusOK ||
		json.Unmarshal(a.body, &dir) != nil || dir.NewAccountURL == "" || dir.NewOrderURL == "" {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.body, d.at, d.hosts = a.body, time.Now(), nil
	for _, s := range []string{dir.NewNonceURL, dir.NewAccountURL, dir.NewOrderURL, dir.RevokeCertURL, dir.KeyChangeURL, dir.RenewalInfo} {
		if u, err := url.Parse(s); err == nil {
			d.hosts = append(d.hosts, u.Host)
		}
	}
}
