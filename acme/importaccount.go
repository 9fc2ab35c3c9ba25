package acme

import (
	"context"
	"crypto"
	"errors"
	"time"

	legoacme "github.com/go-acme/lego/v4/acme"

	"keypaird/acme/accountfile"
	"keypaird/acme/accountkey"
	"keypaird/acme/transport"
	"keypaird/renew/problem"
	"keypaird/renew/textfmt"
)

// ErrNoAccount is in the error of [Client.FindAccount] for a key that the CA does not
// know, or does not accept any more.
var ErrNoAccount = errors.New("the CA has no account for the key")

const registerAnother = "leave the account: keypaird registers another at the first order"

// FindAccount returns the URL of the account that another program registered with key.
// url is what that program knows of it, perhaps an older name of it; "" means nothing. It
// is an error if the CA does not know the key, or does not accept it any more. Nothing is
// registered, and nothing kept.
func (c *Client) FindAccount(ctx context.Context, key crypto.Signer, url string) (found string, err error) {
	defer recoverTo(&err, c.log)
	if !accountkey.Signs(key) {
		return "", problem.Newf(registerAnother, "%w: it is not of a kind that signs requests here: P-256, P-384 or RSA", ErrNoAccount)
	}
	at, err := c.find(ctx, key)
	var p *Problem
	if errors.As(err, &p) && p.Type == "externalAccountRequired" && url != "" { // asked before the CA looks for the account
		at.Location = url
		var s *session
		if s, err = c.open(ctx, account{key, url}); err == nil {
			s.transport.Label(url, transport.ResourceAccount)
			at.Account, err = call(ctx, s, tries, func() (legoacme.Account, error) { return s.core.Accounts.Get(url) })
		}
	}
	switch {
	case errors.As(err, &p) && (p.Type == "accountDoesNotExist" || p.Type == "unauthorized"):
		return "", problem.Newf(registerAnother, "%w: %w", ErrNoAccount, err)
	case err != nil:
		return "", err
	case at.Status != "" && at.Status != legoacme.StatusValid:
		return "", problem.Newf(registerAnother, "%w: it is %s at %s", ErrNoAccount, textfmt.OneLine(at.Status, maxDetail), c.ca.Name)
	case at.Location == "":
		return "", problem.Newf("try again later", "%s knows the account's key, but does not say which account it has", c.ca.Name)
	}
	return at.Location, nil
}

// KeepAccount keeps the account that [Client.FindAccount] found. One that is there
// already is never replaced: it is an error unless it is the same.
func (c *Client) KeepAccount(key crypto.Signer, url, email string) error {
	return c.files.Keep(key, accountfile.File{Directory: c.ca.Directory, URL: url, Email: email, Created: time.Now().UTC().Truncate(time.Second)})
}
