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
	"time"
)

// RenewalInfo is a CA's advice when to replace a certificate (RFC 9773, section
// 4.2).
type RenewalInfo struct {
	Start, End  time.Time // the window; End is after Start
	Explanation string    // URL of a page for people; "" if there is none
	Next        time.Time // when to ask again
}

// How long between two questions: what the CA asks, within bounds (section
// 4.3.2), or where it does not say.
const (
	minAsk     = time.Minute
	maxAsk     = 24 * time.Hour
	defaultAsk = 6 * time.Hour // section 4.3.3
)

// ErrNoRenewalInfo is the answer of CAs that give no such advice.
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

// RenewalInfo asks when leaf is to be replaced. Every malformed answer is an
// error, and so no advice: ErrNoRenewalInfo where the CA never gives any.
func (c *Client) RenewalInfo(ctx context.Context, leaf *x509.Certificate) (RenewalInfo, error) {
	id, err := CertID(leaf)
	if err != nil {
		return RenewalInfo{}, err
	}
	dir, err := c.Directory(ctx)
	if err != nil {
		return RenewalInfo{}, err
	}
	if dir.RenewalInfo == "" {
		return RenewalInfo{}, ErrNoRenewalInfo
	}
	g := &guard{base: c.transport, directory: &c.directory}
	g.begin(ctx)
	url := strings.TrimSuffix(dir.RenewalInfo, "/") + "/" + id
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil || req.URL.Scheme != "https" {
		return RenewalInfo{}, fmt.Errorf("%s: renewal information is not at an https URL", c.ca.Name)
	}
	req.Header.Set("User-Agent", c.agent)
	resp, err := (&http.Client{Transport: g, CheckRedirect: sameHost}).Do(req)
	if ctx.Err() != nil {
		return RenewalInfo{}, context.Cause(ctx)
	}
	if err != nil {
		return RenewalInfo{}, &UnreachableError{c.ca.Name, c.ca.Directory, err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body) // bounded by the guard
	if err != nil {
		return RenewalInfo{}, &UnreachableError{c.ca.Name, c.ca.Directory, err}
	}
	if resp.StatusCode != http.StatusOK {
		return RenewalInfo{}, &Problem{
			CA: c.ca.Name, Status: resp.StatusCode, RetryAt: g.answer(url).retryAfter, Detail: "it gives no renewal information for " + id,
		}
	}
	return parseRenewalInfo(body, g.answer(url).retryAfter, time.Now())
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
		return RenewalInfo{}, fmt.Errorf("renewal information cannot be read: %s", oneLine(err.Error(), maxDetail))
	}
	if in.Window.Start.IsZero() || !in.Window.End.After(in.Window.Start) {
		return RenewalInfo{}, errors.New("renewal information has no window")
	}
	wait := defaultAsk
	if !again.IsZero() {
		wait = min(max(again.Sub(now), minAsk), maxAsk)
	}
	return RenewalInfo{
		Start: in.Window.Start.UTC(), End: in.Window.End.UTC(),
		Explanation: oneLine(in.Explanation, maxDetail), Next: now.Add(wait).UTC(),
	}, nil
}
