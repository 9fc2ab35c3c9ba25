package acme

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"keypaird/renew/textfmt"

	legoacme "github.com/go-acme/lego/v4/acme"
)

const (
	tries       = 3                      // of a request that may be repeated
	orderTries  = 2                      // of one that places an order: the first may have reached the CA
	badNonces   = 20                     // in a row, then the CA is at fault
	retryPause  = 250 * time.Millisecond // before the second try; the third waits four times that
	maxOwnPause = 5 * time.Second        // a longer Retry-After is the caller's to wait for
)

// call runs one request of lego's api. A stumbling CA is asked up to n times.
func call[T any](ctx context.Context, s *session, n int, request func() (T, error)) (T, error) {
	return again(ctx, n, func() (T, error) { return once(ctx, s, request) })
}

// again tries up to n times while it is worth it and the CA does not ask for a
// long wait.
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
		if errors.As(err, &d) && d.Type == badNonce && nonces < badNonces && ctx.Err() == nil {
			continue
		}
		if err != nil {
			err = s.typed(ctx, err)
		}
		return v, err
	}
}

// pauseAfter is how long to wait after the n-th transient failure: as long as
// the CA asks, or a little more each time.
func pauseAfter(err error, n int) time.Duration {
	var p *Problem
	if errors.As(err, &p) && !p.RetryAt.IsZero() {
		return min(time.Until(p.RetryAt), maxRetryAfter)
	}
	return retryPause << (2 * (n - 1))
}

// typed turns an error of lego's api into one of ours. An interrupt stays what
// it is.
func (s *session) typed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	ca, directory := s.client.ca.Name, s.client.ca.Directory
	var own *unsentError
	if errors.As(err, &own) {
		return own.err
	}
	var g *garbledError
	if errors.As(err, &g) {
		return &AnswerError{CA: ca, Err: g, Garbled: true}
	}
	var d *legoacme.ProblemDetails
	if errors.As(err, &d) {
		return s.client.problem(d, s.guard.answer(d.URL))
	}
	var u *url.Error
	if errors.As(err, &u) {
		return &UnreachableError{ca, directory, u}
	}
	// The library that signs keeps no more of a failure to fetch a nonce than
	// its text.
	if _, why, ok := strings.Cut(err.Error(), "Error generating nonce: "); ok {
		if a := s.guard.answer(s.core.GetDirectory().NewNonceURL); a.status >= 400 {
			return &Problem{CA: ca, Status: a.status, RetryAt: a.retryAfter, Detail: "it gives out no nonces"}
		}
		return &UnreachableError{ca, directory, errors.New(why)}
	}
	// lego puts whole answers into its errors; who keeps ours need not keep them.
	return &AnswerError{CA: ca, Err: errors.New(textfmt.OneLine(err.Error(), maxDetail))}
}

// transient reports whether the same request may succeed a little later: the
// CA stumbled, or the connection did, or something between.
func transient(err error) bool {
	var p *Problem
	if errors.As(err, &p) {
		return p.Status >= 500
	}
	if isGarbledAnswer(err) {
		return true
	}
	var u *UnreachableError
	return errors.As(err, &u) && !untrusted(u.Err)
}

// An UnreachableError reports a CA that gave no answer.
type UnreachableError struct {
	CA, Directory string
	Err           error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("%s: %s", e.CA, textfmt.OneLine(e.Err.Error(), maxDetail))
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// Remedy says what the operator can do about it.
func (e *UnreachableError) Remedy() string {
	if untrusted(e.Err) {
		return "the CA's own TLS certificate is not trusted here: set roots in its [ca] table, or correct this machine's clock or root store"
	}
	return "check that " + e.Directory + " can be reached from this machine, then: keypaird issue"
}

// An AnswerError reports a CA whose answer makes no sense.
type AnswerError struct {
	CA      string
	Err     error
	Garbled bool // not of its kind at all: cut off, or of a proxy; it may be better later
	Whole   bool // it is about the CA or our account as a whole, not about one order
}

func (e *AnswerError) Error() string {
	return fmt.Sprintf("%s: %s", e.CA, textfmt.OneLine(e.Err.Error(), maxDetail))
}

func (e *AnswerError) Unwrap() error { return e.Err }

// Remedy says what the operator can do about it.
func (e *AnswerError) Remedy() string {
	return "see that the directory of the CA is that of an ACME server and that no proxy changes its answers; else tell the CA, or name another one in sign_with"
}
