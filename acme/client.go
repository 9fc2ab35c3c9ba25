// Package acme obtains certificates from CAs that speak RFC 8555. It is the only
// package that knows lego's ACME, of which it uses the lowest layer: requests
// and their signatures. The order of things is its own:
//
//	account -> order -> prove each name, side by side -> finalize -> fetch -> check
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

	legoacme "github.com/go-acme/lego/v4/acme"
	"github.com/go-acme/lego/v4/acme/api"
)

// Options configure a Client.
type Options struct {
	CA        CA           // required
	Dir       string       // required; where account.json and key.pem are kept
	Email     string       // contact of a new account; "" means none
	UserAgent string       // "" means "keypaird"
	Log       *slog.Logger // required
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

	opening sync.Mutex // held while the account is read or registered
	key     crypto.Signer

	mu   sync.Mutex
	url  string // of the account
	idle []*session
}

// NewClient returns a Client. It touches neither network nor disk.
func NewClient(o Options) *Client {
	agent := o.UserAgent
	if agent == "" {
		agent = "keypaird"
	}
	return &Client{
		ca: o.CA, dir: o.Dir, email: o.Email, agent: agent, log: o.Log,
		transport: newTransport(o.CA), directory: directoryCache{url: o.CA.Directory},
	}
}

// Close drops idle connections.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Account returns the URL of the account, registering one if there is none.
func (c *Client) Account(ctx context.Context) (string, error) {
	c.opening.Lock()
	defer c.opening.Unlock()
	if err := c.account(ctx); err != nil {
		return "", err
	}
	return c.accountURL(), nil
}

// Directory returns what the CA says of itself.
func (c *Client) Directory(ctx context.Context) (legoacme.Directory, error) {
	s, err := c.open(ctx, nil, "")
	if err != nil {
		return legoacme.Directory{}, err
	}
	return s.core.GetDirectory(), nil
}

func (c *Client) accountURL() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.url
}

func (c *Client) setAccount(f accountFile) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.url = f.URL
}

// A session is one job's way to the CA: lego's core, whose requests obey the
// job's context. A session is used by one job at a time and kept for the next,
// since it holds fresh nonces.
type session struct {
	client *Client
	guard  *guard
	core   *api.Core
}

// session returns a session signed by the account. Give it back with done.
func (c *Client) session(ctx context.Context) (*session, error) {
	url, err := c.Account(ctx)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	if n := len(c.idle); n > 0 {
		s := c.idle[n-1]
		c.idle = c.idle[:n-1]
		c.mu.Unlock()
		s.guard.begin(ctx)
		return s, nil
	}
	c.mu.Unlock()
	return c.open(ctx, c.key, url)
}

func (c *Client) done(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = append(c.idle, s)
}

// open makes a session. What needs no account needs neither its key nor its URL.
func (c *Client) open(ctx context.Context, key crypto.Signer, account string) (*session, error) {
	g := &guard{base: c.transport, directory: &c.directory}
	g.begin(ctx)
	s := &session{client: c, guard: g}
	client := &http.Client{Transport: g, CheckRedirect: sameHost}
	core, err := call(ctx, s, tries, func() (*api.Core, error) {
		return api.New(client, c.agent, c.ca.Directory, account, key)
	})
	s.core = core
	return s, err
}

// sameHost lets a CA redirect within itself only.
func sameHost(req *http.Request, via []*http.Request) error {
	if len(via) > 5 {
		return errors.New("more than five redirects")
	}
	if req.URL.Host != via[0].URL.Host {
		return errors.New("redirected to another host: " + req.URL.Host)
	}
	return nil
}

const (
	tries       = 3                      // of a request that may be repeated
	badNonces   = 20                     // in a row, then the CA is at fault
	retryPause  = 250 * time.Millisecond // before the second try; the third waits four times that
	maxOwnPause = 5 * time.Second        // a longer Retry-After is the caller's to wait for
)

// call runs one request of lego's api. A nonce that the CA no longer knows is
// replaced at once (section 6.5); a stumbling CA is asked up to n times.
func call[T any](ctx context.Context, s *session, n int, request func() (T, error)) (T, error) {
	nonces := 0
	for try := 1; ; try++ {
		v, err := request()
		var d *legoacme.ProblemDetails
		if errors.As(err, &d) && d.Type == badNonce && nonces < badNonces && ctx.Err() == nil {
			nonces++
			try--
			continue
		}
		if err == nil {
			return v, nil
		}
		err = s.typed(ctx, err)
		if try >= n || !transient(err) {
			return v, err
		}
		pause := retryPause << (2 * (try - 1))
		var p *Problem
		if errors.As(err, &p) && !p.RetryAt.IsZero() {
			if pause = time.Until(p.RetryAt); pause > maxOwnPause {
				return v, err
			}
		}
		if err := sleep(ctx, pause); err != nil {
			return v, err
		}
	}
}
