package acme

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"time"

	legoacme "github.com/go-acme/lego/v4/acme"

	"keypaird/acme/accountkey"
	"keypaird/acme/refusal"
	"keypaird/acme/transport"
	"keypaird/renew/durable"
	"keypaird/renew/keypair"
	"keypaird/renew/textfmt"
)

// accountFile is account.json, beside key.pem. The URL is the account's
// identity: CAA accounturi (RFC 8657) and dns-persist-01 records name it, so it
// is kept, and only the operator may replace it.
type accountFile struct {
	Directory string    `json:"directory"`
	URL       string    `json:"url"`
	Email     string    `json:"email,omitempty"`
	Terms     string    `json:"terms_of_service,omitempty"` // agreed to
	Created   time.Time `json:"created"`
}

// An accountStore keeps the two parts of an account, accountPart and keyPart.
type accountStore interface {
	// load returns a part, or an error that is fs.ErrNotExist.
	load(part string) ([]byte, error)
	// save returns once the part survives a crash of the machine.
	save(part string, data []byte) error
	// where names a part in messages, or with "" the whole.
	where(part string) string
}

const (
	accountPart = "account.json"
	keyPart     = "key.pem"
)

// An accountDir is a directory as accountStore: each part is a file.
type accountDir string

func (d accountDir) where(part string) string { return filepath.Join(string(d), part) }

func (d accountDir) load(part string) ([]byte, error) { return readOwn(d.where(part)) }

func (d accountDir) save(part string, data []byte) error {
	if err := durable.MakeDir(string(d)); err != nil {
		return fmt.Errorf("making the account's directory: %w", err)
	}
	return durable.WriteFile(d.where(part), data, durable.Private)
}

// account returns the account, and registers one if there is none.
func (c *Client) account(ctx context.Context) (account, error) {
	select {
	case c.opening <- struct{}{}:
		defer func() { <-c.opening }()
	case <-ctx.Done():
		return account{}, context.Cause(ctx)
	}
	if c.opened.url != "" {
		return c.opened, nil
	}
	file, known, err := c.loadAccount()
	if err != nil {
		return account{}, err
	}
	key, made, err := c.accountKey(ctx, known)
	if err != nil {
		return account{}, err
	}
	switch {
	case !known:
		file, key, err = c.register(ctx, key, made)
	case c.email != "" && c.email != file.Email:
		c.updateContact(ctx, key, file)
	}
	if err != nil {
		return account{}, err
	}
	c.opened = account{key, file.URL}
	return c.opened, nil
}

// loadAccount reads account.json; known is false if there is none.
func (c *Client) loadAccount() (file accountFile, known bool, err error) {
	data, err := c.accounts.load(accountPart)
	if errors.Is(err, fs.ErrNotExist) {
		return file, false, nil
	}
	if err != nil {
		return file, false, fmt.Errorf("reading the account: %w", err)
	}
	if json.Unmarshal(data, &file) != nil || file.URL == "" {
		return file, false, c.accountError(accountPart, errors.New("not readable as an account"),
			"restore it from a backup; without one, rename account.json and keep key.pem: the CA finds the account by its key")
	}
	if file.Directory != c.ca.Directory {
		return file, false, c.accountError(accountPart, fmt.Errorf("belongs to %q, not to %s", file.Directory, c.ca.Directory),
			"put back the directory that the account belongs to, or give the other CA a [ca] table of its own under another name")
	}
	return file, true, nil
}

const restoreKey = "restore key.pem from a backup; without one, " + refusal.Anew

// accountKey reads the account's key, and makes one only if there is no account
// yet. A key without an account is left by an interrupted registration; the CA
// returns the same account for the same key (RFC 8555, section 7.3.1).
func (c *Client) accountKey(ctx context.Context, known bool) (key crypto.Signer, made bool, err error) {
	data, err := c.accounts.load(keyPart)
	if errors.Is(err, fs.ErrNotExist) {
		if known {
			return nil, false, c.accountError(accountPart, errors.New("its key.pem is missing"), restoreKey)
		}
		key, err = c.newAccountKey(ctx, accountkey.Default)
		return key, true, err
	}
	if err != nil {
		return nil, false, fmt.Errorf("reading the account's key: %w", err)
	}
	key, err = keypair.ParseKey(data)
	if err == nil && !accountkey.Signs(key) {
		err = errors.New("not of a kind that signs requests here: P-256, P-384 or RSA")
	}
	if err != nil {
		return nil, false, c.accountError(keyPart, err, restoreKey)
	}
	return key, false, nil
}

// newAccountKey makes a key and saves it before it is used.
func (c *Client) newAccountKey(ctx context.Context, keyType string) (crypto.Signer, error) {
	key, err := keypair.NewKey(ctx, keyType)
	if err != nil {
		return nil, fmt.Errorf("making an account key: %w", err)
	}
	data, err := keypair.MarshalKey(key)
	if err != nil {
		return nil, err
	}
	return key, c.accounts.save(keyPart, data)
}

func (c *Client) saveAccount(file accountFile) error {
	data, err := json.MarshalIndent(file, "", "\t")
	if err != nil {
		return err
	}
	return c.accounts.save(accountPart, append(data, '\n'))
}

// register creates the account of key, or finds the one it has. A key that was made
// for it is replaced by one of another type if the CA does not take its signatures.
func (c *Client) register(ctx context.Context, key crypto.Signer, made bool) (accountFile, crypto.Signer, error) {
	file, err := c.registerKey(ctx, key)
	var p *Problem
	if !made || !errors.As(err, &p) || p.Type != refusal.BadAlgorithm || accountkey.TypeFor(p.Algorithms) == "" {
		return file, key, err
	}
	if key, err = c.newAccountKey(ctx, accountkey.TypeFor(p.Algorithms)); err == nil {
		file, err = c.registerKey(ctx, key)
	}
	return file, key, err
}

func (c *Client) registerKey(ctx context.Context, key crypto.Signer) (accountFile, error) {
	s, err := c.open(ctx, account{key: key})
	if err != nil {
		return accountFile{}, err
	}
	req := legoacme.Account{TermsOfServiceAgreed: true}
	if req.ExternalAccountBinding, err = c.binding(s); err != nil {
		return accountFile{}, err
	}
	meta := s.core.GetDirectory().Meta
	if meta.ExternalAccountRequired && req.ExternalAccountBinding == nil {
		return accountFile{}, &Problem{CA: c.ca.Name, Type: "externalAccountRequired", Detail: "the CA wants an external account binding"}
	}
	if c.email != "" {
		req.Contact = []string{"mailto:" + c.email}
	}
	registered, err := call(ctx, s, tries, func() (legoacme.ExtendedAccount, error) { return s.core.Accounts.New(req) })
	if err != nil {
		return accountFile{}, fmt.Errorf("registering: %w", c.unregistered(err))
	}
	if u, err := url.Parse(registered.Location); err != nil || u.Host == "" { // it would be kept for good
		return accountFile{}, fmt.Errorf("registering: %w", &ProtocolError{
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

// binding returns the binding to the external account; nil if there is none.
func (c *Client) binding(s *session) ([]byte, error) {
	if c.ca.EABKeyID == "" {
		return nil, nil
	}
	mac, err := accountkey.MAC(c.ca.EABHMAC)
	if err != nil {
		return nil, c.accountError("", err, "copy the HMAC key from the CA's web site again into the file that eab_hmac_file names")
	}
	return accountkey.Bind(s.account.key, s.core.GetDirectory().NewAccountURL, c.ca.EABKeyID, mac)
}

// unregistered adds a remedy to the error of a refused registration.
func (c *Client) unregistered(err error) error {
	var p *Problem
	fault := c.ca.EABKeyID != "" && errors.As(err, &p) && p.Type == "serverInternal" // step-ca's answer to any mistake in them
	if !fault && (!errors.As(err, &p) || p.Type != "unauthorized" && p.Type != "malformed") {
		return err
	}
	hint := "the CA knows the account's key and does not accept it any more; " + refusal.Anew
	if c.ca.EABKeyID != "" {
		hint = "check eab_kid and eab_hmac_file in the [ca] table against the CA's web site; some CAs let each be used once only, and some call a mistake a fault of their own"
	}
	return c.accountError("", err, hint)
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
		return a.url, c.accountError("", fmt.Errorf("is %s at the CA", found.Status), refusal.Anew)
	case found.Location != a.url:
		return a.url, c.accountError("", fmt.Errorf("is %s, but the CA knows its key as %s", a.url, textfmt.OneLine(found.Location, maxDetail)), restoreKey)
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
func (c *Client) updateContact(ctx context.Context, key crypto.Signer, file accountFile) {
	s, err := c.open(ctx, account{key, file.URL})
	if err == nil {
		s.transport.Label(file.URL, transport.ResourceAccount)
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

const maxOwnFile = 1 << 20

// readOwn reads a file that only keypaird writes.
func readOwn(path string) ([]byte, error) {
	data, _, err := durable.ReadFile(path, maxOwnFile, durable.Owned)
	return data, err
}
