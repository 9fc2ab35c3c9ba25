package acme

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"time"

	"keypaird/acme/ari"
	"keypaird/acme/transport"
)

const askTimeout = 20 * time.Second // for one answer, the directory included

var errSlowRenewalInfo = errors.New("no answer in 20 s")

// ErrNoRenewalInfo is the error for CAs without renewal information.
var ErrNoRenewalInfo = errors.New("the CA gives no renewal information")

// RenewalInfo fetches the renewal information of leaf. The error is
// ErrNoRenewalInfo if the CA has none for any certificate, a *ari.Error if it
// could not be fetched or read, or the reason ctx ended. It takes 20 seconds at most.
func (c *Client) RenewalInfo(ctx context.Context, leaf *x509.Certificate) (info ari.Info, err error) {
	defer recoverTo(&err, c.log)
	limited, cancel := context.WithTimeoutCause(ctx, askTimeout, errSlowRenewalInfo)
	defer cancel()
	info, err = c.askRenewalInfo(limited, leaf)
	switch {
	case err == nil:
		return info, nil
	case ctx.Err() != nil:
		return ari.Info{}, context.Cause(ctx)
	case errors.Is(err, ErrNoRenewalInfo):
		return ari.Info{}, err
	}
	return ari.Info{}, c.renewalInfoError(err, time.Now())
}

// renewalInfoError separates temporary errors from others (section 4.3.3).
func (c *Client) renewalInfoError(err error, now time.Time) *ari.Error {
	e := &ari.Error{CA: c.ca.Name, Err: err}
	var p *Problem
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &p):
		e.Transient = p.Status >= 500
	case errors.Is(err, transport.ErrSlow), errors.Is(err, errSlowRenewalInfo), errors.As(err, &timeout) && timeout.Timeout():
		e.Transient = true
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		e.Transient = true // the connection broke
	}
	switch {
	case p != nil && !p.RetryAt.IsZero():
		e.Next = ari.Bounded(p.RetryAt, now)
	case !e.Transient:
		e.Next = now.Add(ari.DefaultAsk).UTC()
	}
	return e
}

// askRenewalInfo sends one request.
func (c *Client) askRenewalInfo(ctx context.Context, leaf *x509.Certificate) (ari.Info, error) {
	id, err := ari.CertID(leaf)
	if err != nil {
		return ari.Info{}, err
	}
	s, err := c.open(ctx, account{})
	if err != nil {
		return ari.Info{}, err
	}
	base := s.core.GetDirectory().RenewalInfo
	if base == "" {
		return ari.Info{}, ErrNoRenewalInfo
	}
	at := strings.TrimSuffix(base, "/") + "/" + id
	req, err := http.NewRequest(http.MethodGet, at, nil)
	if err != nil || req.URL.Scheme != "https" {
		return ari.Info{}, errors.New("it is not at an https URL")
	}
	tr := c.server.Transport(ctx)
	req.Header.Set("User-Agent", c.agent)
	resp, err := tr.Client().Do(req)
	if err != nil {
		return ari.Info{}, &UnreachableError{c.ca.Name, c.ca.Directory, err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body) // read and bounded by the transport
	if err != nil {
		return ari.Info{}, &UnreachableError{c.ca.Name, c.ca.Directory, err}
	}
	a := tr.Answer(req.URL.String())
	if resp.StatusCode != http.StatusOK {
		return ari.Info{}, &Problem{CA: c.ca.Name, Status: resp.StatusCode, RetryAt: a.RetryAfter, Detail: "asked for " + id}
	}
	return ari.Parse(body, a.RetryAfter, time.Now())
}
