package acme

import (
	"context"
	"crypto"
	"errors"
	"net/url"
	"strings"
	"time"

	legoacme "github.com/go-acme/lego/v4/acme"
	"github.com/go-acme/lego/v4/acme/api"

	"keypaird/acme/answer"
	"keypaird/acme/refusal"
	"keypaird/acme/transport"
	"keypaird/renew/textfmt"
)

// A session sends the requests of one job: lego's core with the job's context. It
// is kept for the next job, since it holds fresh nonces.
type session struct {
	client    *Client
	account   account
	transport *transport.Transport
	core      *api.Core
	born      time.Time
}

// An account signs requests. Without a URL it signs by its key alone, and without a
// key not at all.
type account struct {
	key crypto.Signer
	url string
}

// session returns a session signed by the account. Give it back with done.
func (c *Client) session(ctx context.Context) (*session, error) {
	a, err := c.account(ctx)
	if err != nil {
		return nil, err
	}
	if s := c.takeIdle(); s != nil {
		s.transport.Attach(ctx)
		return s, nil
	}
	return c.open(ctx, a)
}

// takeIdle returns a session that is not in use, or nil. Old ones are dropped: lego
// fetches the directory only once.
func (c *Client) takeIdle() *session {
	c.mu.Lock()
	defer c.mu.Unlock()
	for n := len(c.idle); n > 0; n-- {
		s := c.idle[n-1]
		c.idle = c.idle[:n-1]
		if time.Since(s.born) < transport.DirectoryLife {
			return s
		}
	}
	return nil
}

func (c *Client) done(s *session) {
	s.transport.Detach()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = append(c.idle, s)
}

func (c *Client) dropIdle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = nil
}

// open makes a session for a.
func (c *Client) open(ctx context.Context, a account) (*session, error) {
	s := &session{client: c, account: a, born: time.Now(), transport: c.server.Transport(ctx)}
	core, err := call(ctx, s, tries, func() (*api.Core, error) {
		return api.New(s.transport.Client(), c.agent, c.ca.Directory, a.url, a.key)
	})
	var bad *ProtocolError
	if errors.As(err, &bad) {
		bad.Whole = true
	}
	var p *Problem
	if errors.As(err, &p) {
		p.Directory = c.ca.Directory
	}
	if err != nil {
		return nil, err
	}
	s.core = core
	return s, nil
}

const (
	tries       = 3                      // of a request that may be repeated
	orderTries  = 2                      // of one that places an order: the first may have reached the CA
	badNonces   = 20                     // in a row, then the CA is at fault
	retryPause  = 250 * time.Millisecond // before the second try; the third waits four times that
	maxOwnPause = 5 * time.Second        // a longer Retry-After is left to the caller
	patience    = time.Minute            // with a CA that stops answering: the order waits for the next run
)

// call runs one request of lego's api, up to n times while its error is transient.
func call[T any](ctx context.Context, s *session, n int, request func() (T, error)) (T, error) {
	return again(ctx, n, func() (T, error) { return once(ctx, s, request) })
}

// again runs request up to n times, while its error is transient and the CA does
// not ask for a long wait.
func again[T any](ctx context.Context, n int, request func() (T, error)) (T, error) {
	for try := 1; ; try++ {
		v, err := request()
		if err == nil {
			return v, nil
		}
		pause := pauseAfter(err, try)
		if try >= n || !transient(err) || pause > maxOwnPause {
			return v, err
		}
		if err := sleep(ctx, pause); err != nil {
			return v, err
		}
	}
}

// once runs one request. A nonce that the CA no longer knows is replaced at once
// (RFC 8555, section 6.5).
func once[T any](ctx context.Context, s *session, request func() (T, error)) (T, error) {
	for nonces := 0; ; nonces++ {
		v, err := request()
		var d *legoacme.ProblemDetails
		if errors.As(err, &d) && answer.ProblemType(d.Type) == "badNonce" && nonces < badNonces && ctx.Err() == nil {
			continue
		}
		if err != nil {
			err = s.typed(ctx, err)
		}
		return v, err
	}
}

// pauseAfter returns how long to wait after the n-th transient failure: as long as
// the CA asks, or a little more each time.
func pauseAfter(err error, n int) time.Duration {
	var p *Problem
	if errors.As(err, &p) && !p.RetryAt.IsZero() {
		return min(time.Until(p.RetryAt), maxRetryAfter)
	}
	return retryPause << (2 * (n - 1))
}

// typed converts an error of lego's api. At the end of ctx it returns the cause.
func (s *session) typed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	ca, directory := s.client.ca.Name, s.client.ca.Directory
	if e, ok := errors.AsType[*transport.Error](err); ok {
		return answerError(ca, e)
	}
	var d *legoacme.ProblemDetails
	if errors.As(err, &d) {
		return refusal.New(ca, d, s.transport.Answer(d.URL))
	}
	var u *url.Error
	if errors.As(err, &u) {
		return &UnreachableError{ca, directory, u}
	}
	// The JOSE library keeps only the text of a failure to fetch a nonce.
	if _, why, ok := strings.Cut(err.Error(), "Error generating nonce: "); ok {
		a := s.transport.Answer(s.core.GetDirectory().NewNonceURL)
		switch e, ok := errors.AsType[*transport.Error](a.Err); {
		case ok:
			return answerError(ca, e)
		case a.Status >= 400:
			return &Problem{CA: ca, Status: a.Status, RetryAt: a.RetryAfter, Detail: noNonces}
		case strings.Contains(why, "proper nonce header"):
			return &ProtocolError{CA: ca, Err: errors.New(noNonces), Kind: transport.Malformed, Whole: true}
		}
		return &UnreachableError{ca, directory, errors.New(why)}
	}
	// lego puts whole answers into its errors.
	return &ProtocolError{CA: ca, Err: errors.New(textfmt.OneLine(err.Error(), maxDetail))}
}

const noNonces = "it gives out no nonces"

// answerError returns the error for an answer that was not passed on.
func answerError(ca string, e *transport.Error) error {
	if e.Kind == transport.NotSent {
		return e.Err
	}
	return &ProtocolError{CA: ca, Err: e.Err, Kind: e.Kind}
}

const (
	maxRetryAfter = time.Minute // between two polls of one object, even if the CA asks for more
	maxPoll       = 5 * time.Second
	maxBusy       = 10 * time.Millisecond // a CA that takes longer to answer may be far, not busy
)

// A pace computes the pauses between polls of an object that is not ready. Without a
// Retry-After it grows with the time already waited: a CA that needs milliseconds is asked
// again after one, and one that needs seconds is overshot by a sixteenth of them at most.
// One that is busy is left alone for as long as it took to answer: while many orders are
// under way, polls would take a third of its time.
type pace struct{ since time.Time }

func (p pace) next(now time.Time, a transport.Answer) time.Duration {
	if d := a.RetryAfter.Sub(now); d > 0 {
		return min(d, maxRetryAfter)
	}
	return min(max(now.Sub(p.since)/16, min(a.Took, maxBusy), time.Millisecond), maxPoll)
}

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
