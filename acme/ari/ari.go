// Package ari has the objects of ACME renewal information (RFC 9773): what names a
// certificate there, and what a CA suggests.
package ari

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"keypaird/acme/refusal"
	"keypaird/renew/textfmt"
)

// Info says when the CA suggests to replace a certificate (section 4.2).
type Info struct {
	Start, End  time.Time // the window; End is after Start
	Explanation string    // https URL of a page for people; "" if there is none
	Next        time.Time // earliest next request
}

// Pauses between two requests: as the CA asks within bounds (section 4.3.2), or the
// default.
const (
	minAsk     = time.Minute
	maxAsk     = 24 * time.Hour
	DefaultAsk = 6 * time.Hour // section 4.3.3
)

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

// An Error reports that renewal information could not be fetched.
// The certificate is then replaced by its age.
type Error struct {
	CA        string
	Err       error
	Next      time.Time // when to ask again; zero if that is left to the caller, of a transient error
	Transient bool      // ask again soon, then with growing pauses
}

func (e *Error) Error() string {
	return e.CA + ": no renewal information: " + textfmt.OneLine(strings.TrimPrefix(e.Err.Error(), e.CA+": "), refusal.MaxDetail)
}

func (e *Error) Unwrap() error { return e.Err }

// Temporary reports whether to ask again soon.
func (e *Error) Temporary() bool { return e.Transient }

// Earliest returns when another try may succeed; zero if that is not known.
func (e *Error) Earliest() time.Time { return e.Next }

// Bounded limits the time that a CA asks for (section 4.3.2).
func Bounded(at, now time.Time) time.Time {
	return now.Add(min(max(at.Sub(now), minAsk), maxAsk)).UTC()
}

// Parse reads the object of section 4.2.
func Parse(body []byte, again, now time.Time) (Info, error) {
	var in struct {
		Window struct {
			Start time.Time `json:"start"`
			End   time.Time `json:"end"`
		} `json:"suggestedWindow"`
		Explanation string `json:"explanationURL"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return Info{}, fmt.Errorf("renewal information cannot be read: %s", textfmt.OneLine(err.Error(), refusal.MaxDetail))
	}
	if in.Window.Start.IsZero() || !in.Window.End.After(in.Window.Start) {
		return Info{}, errors.New("renewal information has no window")
	}
	if in.Window.Start.UTC().Year() < 1 || in.Window.End.UTC().Year() > 9999 { // JSON cannot hold it
		return Info{}, errors.New("renewal information has a window beyond all calendars")
	}
	next := now.Add(DefaultAsk).UTC()
	if !again.IsZero() {
		next = Bounded(again, now)
	}
	return Info{
		Start: in.Window.Start.UTC(), End: in.Window.End.UTC(), Next: next,
		Explanation: refusal.WebPage(in.Explanation),
	}, nil
}
