// Package acme obtains certificates from CAs that speak RFC 8555. It is the only
// package that knows lego's ACME, of which it uses the lowest layer: requests
// and their signatures. The order of things is its own:
//
//	account -> order -> prove each name, side by side -> finalize -> fetch -> check
//
// Nothing is ordered that the log beside the account does not allow: whatever
// fault there is elsewhere, the limits of the CA are kept ([OrderLog]).
//
// Make a [Client] for each CA with [NewClient] and call [Client.Obtain]. The
// package does not know how a challenge is answered (see [Prover]) nor where the
// pair is kept; a killed Obtain goes on where it was when called again with the
// same Pending directory.
package acme

import (
	"context"
	"crypto"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"keypaird/renew/textfmt"

	legoacme "github.com/go-acme/lego/v4/acme"
	"github.com/go-acme/lego/v4/acme/api"

	"keypaird/acme/orderlog"
)

// Options configure a Client.
type Options struct {
	CA        CA           // required
	Dir       string       // required; where account.json and key.pem are kept
	Email     string       // contact of the account; "" leaves it as it is
	UserAgent string       // "" means "keypaird"
	Log       *slog.Logger // required

	OrderLog OrderLog       // nil means orders.log in Dir, with the limit of the CA
	Observe  func(Exchange) // told of each request, concurrently; may be nil
}

// An OrderLog knows what was ordered at one CA, and whether one more certificate
// is allowed. Its methods may be called concurrently. The file is [orderlog.Log].
type OrderLog interface {
	// Reserve notes that a request is about to be sent, durably enough that the
	// end of this process does not lose it. With an error, an
	// *orderlog.RateLimitError if a limit is reached, it is not sent.
	Reserve(ctx context.Context, kind orderlog.Kind, r orderlog.Request) error

	// Limit returns the *orderlog.RateLimitError with which Reserve would refuse
	// the next request now, newOrder if there is no order yet, or nil. It notes
	// nothing.
	Limit(r orderlog.Request) error
}

// NewOrderLog returns the file beside the account that is kept in dir.
func NewOrderLog(ca CA, dir string) *orderlog.Log {
	return orderlog.New(orderlog.Options{CA: ca.Name, Dir: dir, MaxOrders: ca.Orders})
}

// A Client is one account at one CA. Its methods may be called concurrently.
type Client struct {
	ca        CA
	dir       string
	email     string
	agent     string
	log       *slog.Logger
	transport *http.Transport
	directory directoryCache
	watch     *watch
	orderLog  OrderLog

	opening chan struct{} // holds one value while the account is read or registered
	opened  account       // owned by who holds opening

	mu   sync.Mutex
	idle []*session
}

// An account is what signs requests. Without a URL it signs by its key alone,
// and without a key not at all.
type account struct {
	key crypto.Signer
	url string
}

// NewClient returns a Client. It touches neither network nor disk.
func NewClient(o Options) *Client {
	agent := o.UserAgent
	if agent == "" {
		agent = "keypaird"
	}
	if o.OrderLog == nil {
		o.OrderLog = NewOrderLog(o.CA, o.Dir)
	}
	return &Client{
		ca: o.CA, dir: o.Dir, email: o.Email, agent: agent, log: o.Log,
		transport: newTransport(o.CA), directory: directoryCache{url: o.CA.Directory},
		watch:    &watch{ca: o.CA.Name, log: o.Log, observe: o.Observe},
		orderLog: o.OrderLog,
		opening:  make(chan struct{}, 1),
	}
}

// Close drops idle connections.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Account returns the URL of the account, registering one if there is none.
func (c *Client) Account(ctx context.Context) (string, error) {
	a, err := c.account(ctx)
	return a.url, err
}

// Directory returns what the CA says of itself.
func (c *Client) Directory(ctx context.Context) (legoacme.Directory, error) {
	s, err := c.open(ctx, account{})
	if err != nil {
		return legoacme.Directory{}, err
	}
	return s.core.GetDirectory(), nil
}

// A session is one job's way to the CA: lego's core, whose requests obey the
// job's context. A session is used by one job at a time and kept for the next,
// since it holds fresh nonces.
type session struct {
	client  *Client
	account account
	guard   *guard
	core    *api.Core
	born    time.Time
}

// session returns a session signed by the account. Give it back with done.
func (c *Client) session(ctx context.Context) (*session, error) {
	a, err := c.account(ctx)
	if err != nil {
		return nil, err
	}
	if s := c.takeIdle(); s != nil {
		s.guard.begin(ctx)
		return s, nil
	}
	return c.open(ctx, a)
}

// takeIdle returns a session that is not in use, or nil. Old ones are dropped:
// lego never looks at the CA's directory again.
func (c *Client) takeIdle() *session {
	c.mu.Lock()
	defer c.mu.Unlock()
	for n := len(c.idle); n > 0; n-- {
		s := c.idle[n-1]
		c.idle = c.idle[:n-1]
		if time.Since(s.born) < directoryLife {
			return s
		}
	}
	return nil
}

func (c *Client) done(s *session) {
	s.guard.end()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = append(c.idle, s)
}

// open makes a session for a.
func (c *Client) open(ctx context.Context, a account) (*session, error) {
	s := &session{client: c, account: a, born: time.Now(), guard: c.newGuard(ctx)}
	client := &http.Client{Transport: s.guard, CheckRedirect: sameHost}
	core, err := call(ctx, s, tries, func() (*api.Core, error) {
		return api.New(client, c.agent, c.ca.Directory, a.url, a.key)
	})
	var bad *AnswerError
	if errors.As(err, &bad) {
		bad.Whole = true
	}
	var p *Problem
	if errors.As(err, &p) {
		p.directory = c.ca.Directory
	}
	if err != nil {
		return nil, err
	}
	s.core = core
	return s, nil
}

// newGuard returns what is between a job and the network.
func (c *Client) newGuard(ctx context.Context) *guard {
	g := &guard{base: c.transport, directory: &c.directory, watch: c.watch}
	g.begin(ctx)
	return g
}

// sameHost lets a CA redirect within itself only.
func sameHost(req *http.Request, via []*http.Request) error {
	if len(via) > 5 {
		return errors.New("more than five redirects")
	}
	if req.URL.Host != via[0].URL.Host {
		return errors.New("redirected to another host: " + textfmt.OneLine(req.URL.Host, 253))
	}
	return nil
}
