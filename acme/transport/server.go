package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Options configure a Server.
type Options struct {
	CA        string         // required; its name, for the log and for Exchange
	Directory string         // required; https URL
	Roots     *x509.CertPool // for the CA's own TLS; nil means the system's
	Log       *slog.Logger   // required

	Observe func(Exchange) // called with each request, concurrently; may be nil
}

// A Server is one CA: the connections to it, its directory and its clock. Its
// methods may be called concurrently.
type Server struct {
	HTTP *http.Transport // the connections

	ca        string
	observe   func(Exchange) // may be nil
	directory directoryCache
	clock     clock
}

// NewServer returns a Server. It touches no network.
func NewServer(o Options) *Server {
	return &Server{
		HTTP: newHTTPTransport(o.Directory, o.Roots), ca: o.CA, observe: o.Observe,
		directory: directoryCache{url: o.Directory}, clock: clock{ca: o.CA, log: o.Log},
	}
}

// newHTTPTransport returns the connections to one CA. Orders run concurrently, so
// more than net/http's two idle connections are kept.
func newHTTPTransport(directory string, roots *x509.CertPool) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext = newDialer(directory).dial
	t.Proxy = readProxy(http.ProxyFromEnvironment)
	t.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	t.ForceAttemptHTTP2 = false // measured: concurrent orders share one connection badly
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 64, 64
	t.ResponseHeaderTimeout = requestTimeout
	t.MaxResponseHeaderBytes = maxHeader
	return t
}

// Transport returns a Transport that is attached to a job.
func (s *Server) Transport(ctx context.Context) *Transport {
	t := &Transport{server: s, base: s.HTTP}
	t.Attach(ctx)
	return t
}

// Serves reports whether requests may go to a URL: to the directory's host, and to
// those that the directory names, by https.
func (s *Server) Serves(spelled string) bool {
	u, err := url.Parse(spelled)
	return err == nil && s.directory.serves(u)
}

// Clock returns how far the CA's clock was ahead of ours when it last answered; a
// negative duration means behind. It is not known before the first answer.
func (s *Server) Clock() (ahead time.Duration, known bool) {
	s.clock.mu.Lock()
	defer s.clock.mu.Unlock()
	return s.clock.ahead, s.clock.known
}

// sameHost lets a CA redirect to the same host only.
func sameHost(req *http.Request, via []*http.Request) error {
	if len(via) > 5 || hostPort(req.URL) != hostPort(via[0].URL) || req.URL.Scheme != "https" {
		return redirected(via[0].URL.Host, req.URL.String())
	}
	return nil
}

// An Exchange is one request to a CA and its result.
type Exchange struct {
	CA       string
	Method   string
	Resource string        // directory nonce account order authz challenge finalize cert renewal-info revoke other
	Status   int           // of HTTP; 0: no answer, or not all of it
	Took     time.Duration // until the answer was read
}

// The resources of a CA, as in Exchange.
const (
	ResourceAccount   = "account"
	ResourceOrder     = "order"
	ResourceAuthz     = "authz"
	ResourceChallenge = "challenge"
	ResourceFinalize  = "finalize"
	ResourceCert      = "cert"

	resourceDirectory   = "directory"
	resourceNonce       = "nonce"
	resourceRenewalInfo = "renewal-info"
	resourceRevoke      = "revoke"
	resourceOther       = "other"
)

// maxClockError is how far two clocks may differ without a warning: certificates
// are valid from up to an hour before they are issued.
const maxClockError = 5 * time.Minute

// A clock compares the CA's clock with ours.
type clock struct {
	ca  string
	log *slog.Logger

	mu     sync.Mutex
	ahead  time.Duration
	known  bool
	warned bool
}

// compare reads the Date (RFC 9110, section 6.6.1) of an answer to a request that
// was sent and answered at these times by our clock. It warns once, until the
// clocks agree again.
func (c *clock) compare(h http.Header, sent, answered time.Time) {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return
	}
	ahead := difference(date, sent, answered)
	c.mu.Lock()
	before := c.warned
	c.ahead, c.known, c.warned = ahead, true, ahead.Abs() > maxClockError
	now := c.warned
	c.mu.Unlock()
	switch {
	case now && !before:
		c.log.Warn("clock differs", "ca", c.ca, "by", ahead)
	case before && !now:
		c.log.Info("clock agrees again", "ca", c.ca)
	}
}

// difference returns how far a clock that showed date is at least ahead of one that
// showed sent before and answered after: Date has whole seconds, and it is not known
// how long the answer was on its way.
func difference(date, sent, answered time.Time) time.Duration {
	if d := date.Sub(answered.Round(0)); d > 0 {
		return d
	}
	if d := date.Add(time.Second).Sub(sent.Round(0)); d < 0 {
		return d
	}
	return 0
}
