package acme

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"net/url"
	"time"

	legoacme "github.com/go-acme/lego/v4/acme"

	"keypaird/acme/accountfile"
	"keypaird/acme/accountkey"
	"keypaird/acme/refusal"
	"keypaird/renew/textfmt"
)

// account returns the account, and registers one if there is none.
func (c *Client) account(ctx context.Context) (account, error) {
	select {
	case c.opening <- struct{}{}:
		defer func() { <-c.opening }()
	case <-ctx.Done():
		return account{}, context.Cause(ctx)
	}
	mark := c.files.Store.Mark()
	if c.opened.url != "" && mark == c.mark {
		return c.opened, nil
	}
	c.dropIdle() // of the account as it was: another process may have replaced its key
	file, known, err := c.files.Load()
	if err != nil {
		return account{}, err
	}
	key, made, err := c.files.Key(ctx, known)
	if err == nil && known {
		key, err = c.currentKey(ctx, file.URL, key)
	}
	switch {
	case err != nil:
	case !file.Deactivated.IsZero():
		err = c.files.Error("", fmt.Errorf("was deactivated at %s", file.Deactivated.Format(time.RFC3339)),
			"to have another one in its place: keypaird account register "+c.ca.Name)
	case !known:
		file, key, err = c.register(ctx, key, made)
	case c.email != "" && c.email != file.Email:
		c.updateContact(ctx, key, file)
	}
	if err != nil {
		return account{}, err
	}
	c.opened, c.mark = account{key, file.URL}, c.files.Store.Mark()
	return c.opened, nil
}

// register creates the account of key, or finds the one it has. A key that was made
// for it is replaced by one of another type if the CA does not take its signatures.
func (c *Client) register(ctx context.Context, key crypto.Signer, made bool) (accountfile.File, crypto.Signer, error) {
	file, err := c.registerKey(ctx, key)
	var p *Problem
	if !made || !errors.As(err, &p) || p.Type != refusal.BadAlgorithm || accountkey.TypeFor(p.Algorithms) == "" {
		return file, key, err
	}
	if key, err = c.files.MakeKey(ctx, accountkey.TypeFor(p.Algorithms)); err == nil {
		file, err = c.registerKey(ctx, key)
	}
	return file, key, err
}

func (c *Client) registerKey(ctx context.Context, key crypto.Signer) (accountfile.File, error) {
	s, err := c.open(ctx, account{key: key})
	if err != nil {
		return accountfile.File{}, err
	}
	req := legoacme.Account{TermsOfServiceAgreed: true}
	if req.ExternalAccountBinding, err = c.binding(s); err != nil {
		return accountfile.File{}, err
	}
	meta := s.core.GetDirectory().Meta
	if meta.ExternalAccountRequired && req.ExternalAccountBinding == nil {
		return accountfile.File{}, &Problem{CA: c.ca.Name, Type: "externalAccountRequired", Detail: "the CA wants an external account binding"}
	}
	if c.email != "" {
		req.Contact = []string{"mailto:" + c.email}
	}
	registered, err := call(ctx, s, tries, func() (legoacme.ExtendedAccount, error) { return s.core.Accounts.New(req) })
	if err != nil {
		if hint := refusal.Unregistered(err, c.ca.EABKeyID != "", c.email != ""); hint != "" {
			err = c.files.Error("", err, hint)
		}
		return accountfile.File{}, fmt.Errorf("registering: %w", err)
	}
	if u, err := url.Parse(registered.Location); err != nil || u.Host == "" { // it would be kept for good
		return accountfile.File{}, fmt.Errorf("registering: %w", &ProtocolError{
			CA: c.ca.Name, Err: fmt.Errorf("it sent no usable account url: %q", textfmt.OneLine(registered.Location, maxDetail)), Whole: true,
		})
	}
	file := accountfile.File{
		Directory: c.ca.Directory, URL: registered.Location, Email: c.email,
		Terms: meta.TermsOfService, Created: time.Now().UTC().Truncate(time.Second),
	}
	if err := c.files.Save(file); err != nil {
		return accountfile.File{}, fmt.Errorf("keeping the account: %w", err)
	}
	s.account.url = file.URL
	c.done(s) // it has a nonce
	c.log.Info("registered", "ca", c.ca.Name, "account", file.URL, "terms_of_service", textfmt.OneLine(file.Terms, maxDetail))
	return file, nil
}

// binding returns the binding to the external account; nil if there is none.
func (c *Client) binding(s *session) ([]byte, error) {
	if c.ca.EABKeyID == "" {
		return nil, nil
	}
	mac, err := accountkey.MAC(c.ca.EABHMAC)
	if err != nil {
		return nil, c.files.Error("", err, "copy the HMAC key from the CA's web site again into the file that eab_hmac_file names")
	}
	return accountkey.Bind(s.account.key, s.core.GetDirectory().NewAccountURL, c.ca.EABKeyID, mac)
}

// CheckAccount returns the URL of the account, and an error if the CA does not know
// it or does not accept it any more. It registers one if there is none.
func (c *Client) CheckAccount(ctx context.Context) (url string, err error) {
	defer recoverTo(&err, c.log)
	a, err := c.account(ctx)
	if err != nil {
		return "", err
	}
	found, err := c.find(ctx, a.key)
	var p *Problem
	switch {
	case errors.As(err, &p) && p.Type == "externalAccountRequired":
		return a.url, nil // asked before the CA looks for the account
	case err != nil:
		return a.url, err
	case found.Status == legoacme.StatusDeactivated, found.Status == "revoked":
		return a.url, c.files.Error("", fmt.Errorf("is %s at the CA", found.Status), refusal.Anew)
	case found.Location != a.url:
		return a.url, c.files.Error("", fmt.Errorf("is %s, but the CA knows its key as %s", a.url, textfmt.OneLine(found.Location, maxDetail)), accountfile.RestoreKey)
	}
	return a.url, nil
}

// find asks the CA for the account of a key, and registers none (RFC 8555, section 7.3.1).
func (c *Client) find(ctx context.Context, key crypto.Signer) (legoacme.ExtendedAccount, error) {
	s, err := c.open(ctx, account{key: key})
	if err != nil {
		return legoacme.ExtendedAccount{}, err
	}
	return call(ctx, s, tries, func() (legoacme.ExtendedAccount, error) {
		return s.core.Accounts.New(legoacme.Account{OnlyReturnExisting: true})
	})
}

// updateContact sends a changed address to the CA. A failure is only logged: no
// certificate depends on it.
func (c *Client) updateContact(ctx context.Context, key crypto.Signer, file accountfile.File) {
	err := c.atAccount(ctx, account{key, file.URL}, 1, func(s *session) error {
		_, err := s.core.Accounts.Update(file.URL, legoacme.Account{Contact: []string{"mailto:" + c.email}})
		return err
	})
	if err == nil {
		file.Email = c.email
		err = c.files.Save(file)
	}
	if err != nil && ctx.Err() == nil {
		c.log.Warn("contact not updated", "ca", c.ca.Name, "email", c.email, "err", err)
	}
}
