package acme

import (
	"context"
	"crypto"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"keypaird/renew/textfmt"

	legoacme "github.com/go-acme/lego/v4/acme"
)

// register asks for an account for key, or for the URL of the one it has.
func (c *Client) register(ctx context.Context, key crypto.Signer) (accountFile, error) {
	s, err := c.open(ctx, account{key: key})
	if err != nil {
		return accountFile{}, err
	}
	hmac, err := c.externalKey()
	if err != nil {
		return accountFile{}, err
	}
	meta := s.core.GetDirectory().Meta
	if meta.ExternalAccountRequired && hmac == "" {
		return accountFile{}, &Problem{CA: c.ca.Name, Type: "externalAccountRequired", Detail: "the CA wants an external account binding"}
	}
	req := legoacme.Account{TermsOfServiceAgreed: true}
	if c.email != "" {
		req.Contact = []string{"mailto:" + c.email}
	}
	registered, err := call(ctx, s, tries, func() (legoacme.ExtendedAccount, error) {
		if hmac != "" {
			return s.core.Accounts.NewEAB(req, c.ca.EABKeyID, hmac)
		}
		return s.core.Accounts.New(req)
	})
	if err != nil {
		return accountFile{}, fmt.Errorf("registering: %w", c.unregistered(err))
	}
	if registered.Location == "" {
		return accountFile{}, fmt.Errorf("registering: %w", &AnswerError{CA: c.ca.Name, Err: errors.New("the CA gave no account url"), Whole: true})
	}
	if u, err := url.Parse(registered.Location); err != nil || u.Host == "" { // it would be kept for good
		return accountFile{}, fmt.Errorf("registering: %w", &AnswerError{
			CA: c.ca.Name, Err: fmt.Errorf("the account url is none: %q", textfmt.OneLine(registered.Location, maxDetail)), Whole: true,
		})
	}
	file := accountFile{
		Directory: c.ca.Directory, URL: registered.Location, Email: c.email,
		Terms: meta.TermsOfService, Created: time.Now().UTC().Truncate(time.Second),
	}
	if err := c.saveAccount(file); err != nil {
		return accountFile{}, fmt.Errorf("keeping the account: %w", err)
	}
	c.log.Info("registered", "ca", c.ca.Name, "account", file.URL, "terms_of_service", textfmt.OneLine(file.Terms, maxDetail))
	return file, nil
}

// externalKey is the key of the external account in the one spelling that lego
// reads; "" if there is none. CAs hand it out in others too.
func (c *Client) externalKey() (string, error) {
	if c.ca.EABKeyID == "" {
		return "", nil
	}
	key := strings.NewReplacer("+", "-", "/", "_", "=", "").Replace(strings.TrimSpace(c.ca.EABHMAC))
	if _, err := base64.RawURLEncoding.DecodeString(key); err != nil || key == "" {
		return "", &AccountError{
			c.ca.Name, c.dir, errors.New("the external account key is not base64url"),
			"copy the HMAC key from the CA's web site again into the file that eab_hmac_file names",
		}
	}
	return key, nil
}

// unregistered says more of why the CA refused to register the account.
func (c *Client) unregistered(err error) error {
	var p *Problem
	if !errors.As(err, &p) || p.Type != "unauthorized" && p.Type != "malformed" {
		return err
	}
	hint := "the CA knows the account's key and does not accept it any more; " + anew
	if c.ca.EABKeyID != "" {
		hint = "check eab_kid and eab_hmac_file in the [ca] table against the CA's web site; some CAs let each be used once only"
	}
	return &AccountError{c.ca.Name, c.dir, err, hint}
}

// updateContact tells the CA of a changed address. Failing costs nothing but a
// line in the log: no certificate depends on it.
func (c *Client) updateContact(ctx context.Context, key crypto.Signer, file accountFile) {
	s, err := c.open(ctx, account{key, file.URL})
	if err == nil {
		s.guard.is(file.URL, resAccount)
		_, err = call(ctx, s, 1, func() (legoacme.Account, error) {
			return s.core.Accounts.Update(file.URL, legoacme.Account{Contact: []string{"mailto:" + c.email}})
		})
	}
	if err == nil {
		file.Email = c.email
		err = c.saveAccount(file)
	}
	if err != nil && ctx.Err() == nil {
		c.log.Warn("contact not updated", "ca", c.ca.Name, "email", c.email, "err", err)
	}
}
