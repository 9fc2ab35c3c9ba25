package acme

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"keypaird/acme/accountfile"
	"keypaird/acme/authority"
	"keypaird/acme/orderlog"
	"keypaird/acme/transport"
)

// A CA is the certificate authority at which a Client orders.
type CA = authority.CA

// Options configure a Client.
type Options struct {
	CA        CA           // required
	Dir       string       // of the account; required without Account or OrderLog
	Email     string       // contact of the account; "" leaves it as it is
	UserAgent string       // "" means "keypaird"
	Log       *slog.Logger // required

	Account  accountfile.Store // of the parts of the account; nil means files in Dir
	OrderLog OrderLog          // nil means orders.log in Dir, with the limit of the CA
	Observe  func(Exchange)    // called with each request, concurrently; may be nil

	// Permit is called, concurrently, before each request that places or finalizes an
	// order or has a challenge validated. After an error that is not sent, and Obtain
	// returns an [ErrNotPermitted]. nil permits all.
	Permit func() error
}

// ErrNotPermitted marks the error of a request that was not sent, since this process may
// not order at the moment. That is no failure of the CA. An OrderStore, an OrderLog and an
// account's Store may return it, too.
var ErrNotPermitted = errors.New("not permitted")

// An Exchange is one request to a CA and its result.
type Exchange = transport.Exchange

// An OrderLog records what was ordered at one CA, and decides whether one more
// certificate is allowed. Its methods may be called concurrently. The file is [orderlog.Log].
type OrderLog interface {
	// Reserve notes that a request is about to be sent, durably enough that the
	// end of this process does not lose it. With an error, an
	// *orderlog.RateLimitError if a limit is reached, it is not sent.
	Reserve(ctx context.Context, kind orderlog.Kind, r orderlog.Request) error

	// Limit returns the *orderlog.RateLimitError with which Reserve would refuse
	// the next request now, newOrder if there is no order yet, or nil. It notes
	// nothing.
	Limit(r orderlog.Request) error

	// Finalized reports whether a finalize request for an order was noted.
	Finalized(order string) bool
}

// NewOrderLog returns the file beside the account that is kept in dir.
func NewOrderLog(ca CA, dir string) *orderlog.Log {
	return orderlog.New(orderlog.Options{CA: ca.Name, Dir: dir, MaxOrders: ca.Orders})
}

// A Client is one account at one CA. Its methods may be called concurrently.
type Client struct {
	ca       CA
	files    accountfile.Files
	email    string
	agent    string
	log      *slog.Logger
	server   *transport.Server
	orderLog OrderLog
	mayOrder func() error // Permit

	pause time.Duration // retryPause, or less in tests: before the second request to finalize or to validate

	patience time.Duration // patience, or less in tests: with a CA that stops answering within an order

	opening chan struct{} // holds one value while the account is read or registered
	opened  account       // guarded by opening
	mark    string        // of its files, likewise

	mu   sync.Mutex
	idle []*session
}

// NewClient returns a Client. It touches neither network nor disk.
func NewClient(o Options) *Client {
	if o.OrderLog == nil {
		o.OrderLog = NewOrderLog(o.CA, o.Dir)
	}
	if o.Account == nil {
		o.Account = accountfile.Dir(o.Dir)
	}
	return &Client{
		ca: o.CA, files: accountfile.Files{CA: o.CA.Name, Directory: o.CA.Directory, Store: o.Account}, email: o.Email, agent: cmp.Or(o.UserAgent, "keypaird"), log: o.Log,
		server: transport.NewServer(transport.Options{
			CA: o.CA.Name, Directory: o.CA.Directory, Roots: o.CA.Roots, Log: o.Log, Observe: o.Observe,
		}),
		orderLog: o.OrderLog,
		mayOrder: o.Permit,
		pause:    retryPause,
		patience: patience,
		opening:  make(chan struct{}, 1),
	}
}

// permit returns why a request must not be sent, an ErrNotPermitted, or nil.
func (c *Client) permit() error {
	if c.mayOrder == nil {
		return nil
	}
	if err := c.mayOrder(); err != nil {
		return fmt.Errorf("%w: %w", ErrNotPermitted, err)
	}
	return nil
}

// Close drops idle connections.
func (c *Client) Close() { c.server.HTTP.CloseIdleConnections() }

// Account returns the URL of the account, registering one if there is none.
func (c *Client) Account(ctx context.Context) (url string, err error) {
	defer recoverTo(&err, c.log)
	a, err := c.account(ctx)
	return a.url, err
}

// Info holds facts from a CA's directory.
type Info struct {
	Profiles    map[string]string // their descriptions by name
	Identities  []string          // issuer domain names of its CAA records
	RenewalInfo bool              // it has renewal information (RFC 9773)
}

// Info fetches the CA's directory. It needs no account.
func (c *Client) Info(ctx context.Context) (info Info, err error) {
	defer recoverTo(&err, c.log)
	s, err := c.open(ctx, account{})
	if err != nil {
		return Info{}, err
	}
	dir := s.core.GetDirectory()
	return Info{dir.Meta.Profiles, dir.Meta.CaaIdentities, dir.RenewalInfo != ""}, nil
}

// Clock returns how far the CA's clock was ahead of ours when it last answered; a
// negative duration means behind. It is not known before the first answer.
func (c *Client) Clock() (ahead time.Duration, known bool) {
	return c.server.Clock()
}

// recoverTo turns a panic, of ours or of lego's, into an error: one order must not
// end the process.
func recoverTo(err *error, log *slog.Logger) {
	if v := recover(); v != nil {
		log.Error("panicked", "value", v, "stack", string(debug.Stack()))
		*err = fmt.Errorf("internal fault: %v", v)
	}
}
