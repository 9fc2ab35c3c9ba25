package acme

import (
	"cmp"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	legoacme "github.com/go-acme/lego/v4/acme"

	"keypaird/acme/accountkey"
	"keypaird/acme/transport"
	"keypaird/renew/keypair"
	"keypaird/renew/problem"
	"keypaird/renew/textfmt"
)

// ErrNoAccount is in the error of [Client.Find] for a key that the CA does not know, or
// does not accept any more.
var ErrNoAccount = errors.New("the CA has no account for the key")

const registerAnother = "leave the account: keypaird registers another at the first order"

// Find returns the URL of the account that another program registered with key, and a
// contact address if the CA has one. url is what that program knows of it, perhaps an
// older name of it; "" means nothing. It is an error if the CA does not know the key, or
// does not accept it any more. Nothing is registered, and nothing kept.
func (c *Client) Find(ctx context.Context, key crypto.Signer, url string) (found, email string, err error) {
	defer recoverTo(&err, c.log)
	if !accountkey.Signs(key) {
		return "", "", problem.Newf(registerAnother, "%w: it is not of a kind that signs requests here: P-256, P-384 or RSA", ErrNoAccount)
	}
	at, err := c.find(ctx, key)
	var p *Problem
	if errors.As(err, &p) && p.Type == "externalAccountRequired" && url != "" { // asked before the CA looks for the account
		at.Location = url
		at.Account, err = c.read(ctx, account{key, url})
	}
	switch {
	case errors.As(err, &p) && (p.Type == "accountDoesNotExist" || p.Type == "unauthorized"):
		return "", "", problem.Newf(registerAnother, "%w: %w", ErrNoAccount, err)
	case err != nil:
		return "", "", err
	case at.Status != "" && at.Status != legoacme.StatusValid:
		return "", "", problem.Newf(registerAnother, "%w: it is %s at %s", ErrNoAccount, textfmt.OneLine(at.Status, maxDetail), c.ca.Name)
	case at.Location == "":
		return "", "", problem.Newf("try again later", "%s knows the account's key, but does not say which account it has", c.ca.Name)
	}
	for _, contact := range at.Contact {
		if mail, ok := strings.CutPrefix(contact, "mailto:"); ok {
			email = cmp.Or(email, mail)
		}
	}
	return at.Location, email, nil
}

// read returns the account as the CA has it.
func (c *Client) read(ctx context.Context, a account) (legoacme.Account, error) {
	s, err := c.open(ctx, a)
	if err != nil {
		return legoacme.Account{}, err
	}
	s.transport.Label(a.url, transport.ResourceAccount)
	return call(ctx, s, tries, func() (legoacme.Account, error) { return s.core.Accounts.Get(a.url) })
}

// Adopt keeps the account that [Client.Find] found. One that is kept already is not
// replaced: it is an error unless it is the same. adopted reports whether it was not.
func (c *Client) Adopt(key crypto.Signer, url, email string) (adopted bool, err error) {
	file, known, err := c.loadAccount()
	if err != nil {
		return false, err
	}
	data, err := c.accounts.load(keyPart)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("reading the account's key: %w", err)
	}
	if err == nil {
		kept, err := keypair.ParseKey(data)
		public, comparable := key.Public().(interface{ Equal(crypto.PublicKey) bool })
		if err != nil || !comparable || !public.Equal(kept.Public()) {
			return false, c.accountError(keyPart, errors.New("is there already, and is another key"), "move the directory away if no certificate needs that account any more")
		}
	}
	switch {
	case known && file.URL == url:
		return false, nil
	case known:
		return false, c.accountError(accountPart, fmt.Errorf("is there already: %s", file.URL), "move the directory away if no certificate needs that account any more")
	}
	if data, err = keypair.MarshalKey(key); err == nil {
		err = c.accounts.save(keyPart, data)
	}
	if err == nil {
		err = c.saveAccount(accountFile{Directory: c.ca.Directory, URL: url, Email: email, Created: time.Now().UTC().Truncate(time.Second)})
	}
	if err != nil {
		return false, fmt.Errorf("keeping the account: %w", err)
	}
	return true, nil
}
