package acme

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	legoacme "github.com/go-acme/lego/v4/acme"

	"keypaird/acme/accountfile"
	"keypaird/acme/accountkey"
	"keypaird/acme/refusal"
	"keypaird/acme/transport"
	"keypaird/renew/problem"
)

// Revoke revokes a certificate (RFC 8555, section 7.6), by its own key, or by the
// account's if key is nil or the CA takes no such key. A nil reason gives none. One that
// is revoked already is no error.
func (c *Client) Revoke(ctx context.Context, leaf *x509.Certificate, key crypto.Signer, reason *uint) (err error) {
	defer recoverTo(&err, c.log)
	err = c.revoke(ctx, leaf, key, reason)
	if !refusal.Unsupported(err) {
		return err
	}
	if _, known, lost := c.files.Load(); key != nil && lost == nil && known && c.revoke(ctx, leaf, nil, reason) == nil {
		return nil
	}
	return problem.Wrap(err, fmt.Sprintf("ask the CA's operator to revoke serial number %x, and do: keypaird issue -new-key", leaf.SerialNumber))
}

func (c *Client) revoke(ctx context.Context, leaf *x509.Certificate, key crypto.Signer, reason *uint) (err error) {
	var s *session
	if key != nil {
		s, err = c.open(ctx, account{key: key})
	} else if s, err = c.session(ctx); err == nil {
		defer c.done(s)
	}
	if err != nil {
		return err
	}
	_, err = call(ctx, s, tries, func() (struct{}, error) {
		return struct{}{}, s.core.Certificates.Revoke(legoacme.RevokeCertMessage{
			Certificate: base64.RawURLEncoding.EncodeToString(leaf.Raw), Reason: reason,
		})
	})
	if p, ok := errors.AsType[*Problem](err); ok && p.Type == "alreadyRevoked" {
		return nil
	}
	return err
}

// Stored returns the account as it is on disk; known is false if there is none.
func (c *Client) Stored() (file accountfile.File, key crypto.Signer, known bool, err error) {
	return c.files.Stored()
}

// Register registers an account in place of one that was deactivated or that the CA has
// lost, or if there is none. It returns the URL, and whether it is a new one.
func (c *Client) Register(ctx context.Context) (url string, made bool, err error) {
	defer recoverTo(&err, c.log)
	file, known, err := c.files.Load()
	if err == nil && known && (!file.Deactivated.IsZero() || c.gone(ctx)) {
		known, err = false, c.files.SetAside(time.Now())
	}
	if err != nil {
		return "", false, err
	}
	url, err = c.Account(ctx)
	return url, !known, err
}

// gone reports whether the CA has no such account, or not any more.
func (c *Client) gone(ctx context.Context) bool {
	a, err := c.account(ctx)
	if err != nil {
		return false
	}
	status := c.status(ctx, a.key)
	return status == noAccount || status == legoacme.StatusDeactivated
}

// noAccount is the status of an account that the CA does not have.
const noAccount = "none"

// status asks the CA for the status of the account of a key; "" if that is not known.
func (c *Client) status(ctx context.Context, key crypto.Signer) string {
	found, err := c.find(ctx, key)
	switch p, _ := errors.AsType[*Problem](err); {
	case err == nil:
		return found.Status
	case p != nil && p.Type == "accountDoesNotExist":
		return noAccount
	case p != nil && p.Type == "unauthorized": // RFC 8555, section 7.3.6; Boulder and Pebble answer so
		return legoacme.StatusDeactivated
	}
	return ""
}

// Deactivate deactivates the account (section 7.3.6), for good. Its files stay. After a
// failure the CA is asked whether it did: its answer may have been lost.
func (c *Client) Deactivate(ctx context.Context) (url string, err error) {
	defer recoverTo(&err, c.log)
	file, known, err := c.files.Load()
	switch {
	case err != nil:
		return "", err
	case !known:
		return "", c.files.Error("", errors.New("does not exist"), "there is nothing to deactivate")
	}
	a, err := c.account(ctx)
	if err == nil {
		err = c.atAccount(ctx, a, tries, func(s *session) error { return s.core.Accounts.Deactivate(a.url) })
	}
	if err != nil && (a.key == nil || c.status(ctx, a.key) != legoacme.StatusDeactivated) {
		return file.URL, err
	}
	file.Deactivated = time.Now().UTC().Truncate(time.Second)
	return file.URL, c.files.Save(file)
}

// Rollover replaces the account's key by a new one (section 7.3.5). The URL stays. If
// the process ends in between, the next use of the account asks the CA which key it has.
func (c *Client) Rollover(ctx context.Context, keyType string) (url string, err error) {
	defer recoverTo(&err, c.log)
	if url, err = c.Account(ctx); err != nil { // and ends a rollover that was cut off
		return "", err
	}
	s, err := c.session(ctx)
	if err != nil {
		return "", err
	}
	change := s.core.GetDirectory().KeyChangeURL
	if change == "" {
		return url, problem.Newf("keep the key, or register another account", "%s: it has no keyChange, so account keys cannot be replaced", c.ca.Name)
	}
	key, err := c.files.MakeNewKey(ctx, keyType)
	if err != nil {
		return url, err
	}
	inner, err := accountkey.Change(change, url, s.account.key.Public(), key)
	if err != nil {
		return url, err
	}
	_, err = call(ctx, s, tries, func() (struct{}, error) { return struct{}{}, s.post(ctx, change, inner) })
	if _, refused := errors.AsType[*Problem](err); refused { // perhaps since an earlier try, with no or another answer, was not
		switch current, unknown := c.currentKey(ctx, url, s.account.key); {
		case unknown != nil:
			return url, fmt.Errorf("asking which key the account has: %w", unknown)
		case current != s.account.key:
			return url, nil
		case refusal.Unsupported(err):
			err = problem.Wrap(err, "keep the account's key, which is still used: the CA may not replace any")
		}
		return url, err
	}
	if err != nil {
		return url, err // it may have reached the CA
	}
	if err := c.files.UseNew(); err != nil { // from now on, sessions are signed by it
		return url, fmt.Errorf("keeping the account's new key: %w", err)
	}
	return url, nil
}

// currentKey returns the key that the CA knows the account by: a rollover may have been
// cut off.
func (c *Client) currentKey(ctx context.Context, url string, key crypto.Signer) (crypto.Signer, error) {
	next, err := c.files.NewKey()
	if err != nil || next == nil {
		return key, err
	}
	found, err := c.find(ctx, next)
	p, refused := errors.AsType[*Problem](err)
	other := refused && p.Type == "accountDoesNotExist"
	if refused && !other { // some CAs want an external account first
		found.Location, err = url, c.atAccount(ctx, account{next, url}, tries, func(s *session) error { _, err := s.core.Accounts.Get(url); return err })
		_, refused = errors.AsType[*Problem](err)
		other = refused && final(err)
	}
	switch {
	case err == nil && found.Location == url:
		c.log.Info("account key replaced", "ca", c.ca.Name, "account", url)
		return next, c.files.UseNew()
	case err == nil, other:
		return key, c.files.DropNew()
	}
	return nil, err
}

// atAccount sends a request to the URL of an account, up to n times.
func (c *Client) atAccount(ctx context.Context, a account, n int, request func(*session) error) error {
	s, err := c.open(ctx, a)
	if err == nil {
		s.transport.Label(a.url, transport.ResourceAccount)
		_, err = call(ctx, s, n, func() (struct{}, error) { return struct{}{}, request(s) })
	}
	return err
}

// post sends a request that lego's api does not have, signed by the account.
func (s *session) post(ctx context.Context, url string, payload []byte) error {
	return s.transport.Post(ctx, s.client.agent, s.core.GetDirectory().NewNonceURL, url, func(nonce string) ([]byte, error) {
		return accountkey.Sign(s.account.key, map[string]any{"url": url, "kid": s.account.url, "nonce": nonce}, payload)
	})
}
