package acme

import (
	"context"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"time"

	"keypaird/acme/refusal"
	"keypaird/acme/transport"
	"keypaird/renew/textfmt"
)

// RenewalInfo says when the CA suggests to replace a certificate (RFC 9773,
// section 4.2).
type RenewalInfo struct {
	Start, End  time.Time // the window; End is after Start
	Explanation string    // https URL of a page for people; "" if there is none
	Next        time.Time // earliest next request
}

// Pauses between two requests: as the CA asks within bounds (section 4.3.2), or the
// default.
const (
	minAsk     = time.Minute
	maxAsk     = 24 * time.Hour
	defaultAsk = 6 * time.Hour // section 4.3.3

	askTimeout = 20 * time.Second // for one answer, the directory included
)

var errSlowRenewalInfo = errors.New("no answer in 20 s")

// ErrNoRenewalInfo is the error for CAs without renewal information.
var ErrNoRenewalInfo = errors.New("the CA gives no renewal information")

// CertID names a certificate in renewal information and in replaces (section
// 4.1): its authority key identifier and its serial number as they stand in it.
func CertID(leaf *x509.Certificate) (string, error) {
	if len(leaf.AuthorityKeyId) == 0 {
		return "", errors.New("the certificate has no authority key identifier")
	}
	der, err := asn1.Marshal(leaf.SerialNumber)
	if err != nil {
		return "", fmt.Errorf("encoding the serial number: %w", err)
	}
	var serial asn1.RawValue
	if _, err := asn1.Unmarshal(der, &serial); err != nil {
		return "", fmt.Errorf("encoding the serial number: %w", err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	return b64(leaf.AuthorityKeyId) + "." + b64(serial.Bytes), nil
}

// A RenewalInfoError reports that renewal information could not be fetched.
// The certificate is then replaced by its age.
type RenewalInfoError struct {
	CA        string
	Err       error
	Next      time.Time // when to ask again; zero if that is left to the caller, of a transient error
	Transient bool      // ask again soon, then with growing pauses
}

func (e *RenewalInfoError) Error() string {
	return e.CA + ": no renewal information: " + textfmt.OneLine(strings.TrimPrefix(e.Err.Error(), e.CA+": "), maxDetail)
}

func (e *RenewalInfoError) Unwrap() error { return e.Err }

// Temporary reports whether to ask again soon.
func (e *RenewalInfoError) Temporary() bool { return e.Transient }

// Earliest returns when another try may succeed; zero if that is not known.
func (e *RenewalInfoError) Earliest() time.Time { return e.Next }

// RenewalInfo fetches the renewal information of leaf. The error is
// ErrNoRenewalInfo if the CA has none for any certificate, a *RenewalInfoError if it
// could not be fetched or read, or the reason ctx ended. It takes 20 seconds at most.
func (c *Client) RenewalInfo(ctx context.Context, leaf *x509.Certificate) (info RenewalInfo, err error) {
	defer recoverTo(&err, c.log)
	limited, cancel := context.WithTimeoutCause(ctx, askTimeout, errSlowRenewalInfo)
	defer cancel()
	info, err = c.askRenewalInfo(limited, leaf)
	switch {
	case err == nil:
		return info, nil
	case ctx.Err() != nil:
		return RenewalInfo{}, context.Cause(ctx)
	case errors.Is(err, ErrNoRenewalInfo):
		return RenewalInfo{}, err
	}
	return RenewalInfo{}, c.renewalInfoError(err, time.Now())
}

// renewalInfoError separates temporary errors from others (section 4.3.3).
func (c *Client) renewalInfoError(err error, now time.Time) *RenewalInfoError {
	e := &RenewalInfoError{CA: c.ca.Name, Err: err}
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
		e.Next = bounded(p.RetryAt, now)
	case !e.Transient:
		e.Next = now.Add(defaultAsk).UTC()
	}
	return e
}

// bounded limits the time that a CA asks for (section 4.3.2).
func bounded(at, now time.Time) time.Time {
	return now.Add(min(max(at.Sub(now), minAsk), maxAsk)).UTC()
}

// askRenewalInfo sends one request.
func (c *Client) askRenewalInfo(ctx context.Context, leaf *x509.Certificate) (RenewalInfo, error) {
	id, err := CertID(leaf)
	if err != nil {
		return RenewalInfo{}, err
	}
	s, err := c.open(ctx, account{})
	if err != nil {
		return RenewalInfo{}, err
	}
	base := s.core.GetDirectory().RenewalInfo
	if base == "" {
		return RenewalInfo{}, ErrNoRenewalInfo
	}
	at := strings.TrimSuffix(base, "/") + "/" + id
	req, err := http.NewRequest(http.MethodGet, at, nil)
	if err != nil || req.URL.Scheme != "https" {
		return RenewalInfo{}, errors.New("it is not at an https URL")
	}
	tr := c.server.Transport(ctx)
	req.Header.Set("User-Agent", c.agent)
	resp, err := tr.Client().Do(req)
	if err != nil {
		return RenewalInfo{}, &UnreachableError{c.ca.Name, c.ca.Directory, err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body) // read and bounded by the transport
	if err != nil {
		return RenewalInfo{}, &UnreachableError{c.ca.Name, c.ca.Directory, err}
	}
	a := tr.Answer(req.URL.String())
	if resp.StatusCode != http.StatusOK {
		return RenewalInfo{}, &Problem{CA: c.ca.Name, Status: resp.StatusCode, RetryAt: a.RetryAfter, Detail: "asked for " + id}
	}
	return parseRenewalInfo(body, a.RetryAfter, time.Now())
}

// parseRenewalInfo reads the object of section 4.2.
func parseRenewalInfo(body []byte, again, now time.Time) (RenewalInfo, error) {
	var in struct {
		Window struct {
			Start time.Time `json:"start"`
			End   time.Time `json:"end"`
		} `json:"suggestedWindow"`
		Explanation string `json:"explanationURL"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return RenewalInfo{}, fmt.Errorf("renewal information cannot be read: %s", textfmt.OneLine(err.Error(), maxDetail))
	}
	if in.Window.Start.IsZero() || !in.Window.End.After(in.Window.Start) {
		return RenewalInfo{}, errors.New("renewal information has no window")
	}
	if in.Window.Start.UTC().Year() < 1 || in.Window.End.UTC().Year() > 9999 { // JSON cannot hold it
		return RenewalInfo{}, errors.New("renewal information has a window beyond all calendars")
	}
	next := now.Add(defaultAsk).UTC()
	if !again.IsZero() {
		next = bounded(again, now)
	}
	return RenewalInfo{
		Start: in.Window.Start.UTC(), End: in.Window.End.UTC(), Next: next,
		Explanation: refusal.WebPage(in.Explanation),
	}, nil
}
