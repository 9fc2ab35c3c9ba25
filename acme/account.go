package acme

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"keypaird/renew/durable"
	"keypaird/renew/keypair"
)

// accountFile is account.json, beside key.pem. The URL is the account's
// identity: CAA accounturi (RFC 8657) and dns-persist-01 records name it, so it
// is kept, and never replaced without a person.
type accountFile struct {
	Directory string    `json:"directory"`
	URL       string    `json:"url"`
	Email     string    `json:"email,omitempty"`
	Terms     string    `json:"terms_of_service,omitempty"` // agreed to
	Created   time.Time `json:"created"`
}

// An AccountError reports an account that cannot be used, as it lies on disk or
// as the CA sees it.
type AccountError struct {
	CA, Path string
	Err      error
	Hint     string
}

func (e *AccountError) Error() string {
	return fmt.Sprintf("%s: account %s: %v", e.CA, e.Path, e.Err)
}

func (e *AccountError) Unwrap() error { return e.Err }

// Remedy says what the operator can do about it.
func (e *AccountError) Remedy() string { return e.Hint }

// anew is the last resort, and what it costs.
const anew = "move the directory away to register a new account (CAA accounturi and dns-persist-01 records must then change)"

func (c *Client) accountPath() string { return filepath.Join(c.dir, "account.json") }
func (c *Client) keyPath() string     { return filepath.Join(c.dir, "key.pem") }

// account returns the account; it registers one only where there was none.
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
	key, err := c.accountKey(known)
	if err != nil {
		return account{}, err
	}
	switch {
	case !known:
		file, err = c.register(ctx, key)
	case c.email != "" && c.email != file.Email:
		c.updateContact(ctx, key, file)
	}
	if err != nil {
		return account{}, err
	}
	c.opened = account{key, file.URL}
	return c.opened, nil
}

// loadAccount reads account.json, if it is known already.
func (c *Client) loadAccount() (file accountFile, known bool, err error) {
	data, err := readOwn(c.accountPath())
	if errors.Is(err, fs.ErrNotExist) {
		return file, false, nil
	}
	if err != nil {
		return file, false, fmt.Errorf("reading the account: %w", err)
	}
	if json.Unmarshal(data, &file) != nil || file.URL == "" {
		return file, false, &AccountError{
			c.ca.Name, c.accountPath(), errors.New("not readable as an account"),
			"restore it from a backup; without one, remove account.json and keep key.pem: the CA finds the account by its key",
		}
	}
	if file.Directory != c.ca.Directory {
		return file, false, &AccountError{
			c.ca.Name, c.accountPath(), fmt.Errorf("belongs to %q, not to %s", file.Directory, c.ca.Directory),
			"give the CA in the configuration another name, or move this directory away to register anew",
		}
	}
	return file, true, nil
}

// accountKey reads the account's key. Only where there is no account yet it may
// be made; a key that is there without one is that of a registration that was
// cut off, and the CA returns the same account for the same key (RFC 8555,
// section 7.3.1).
func (c *Client) accountKey(known bool) (crypto.Signer, error) {
	data, err := readOwn(c.keyPath())
	if errors.Is(err, fs.ErrNotExist) {
		if known {
			return nil, &AccountError{
				c.ca.Name, c.accountPath(), errors.New("its key.pem is missing"), "restore key.pem from a backup; without one, " + anew,
			}
		}
		return c.newAccountKey()
	}
	if err != nil {
		return nil, fmt.Errorf("reading the account's key: %w", err)
	}
	key, err := keypair.ParseKey(data)
	if err == nil && !signsRequests(key) {
		err = errors.New("not of a kind that signs requests here: P-256, P-384 or RSA")
	}
	if err != nil {
		return nil, &AccountError{c.ca.Name, c.keyPath(), err, "restore key.pem from a backup; without one, " + anew}
	}
	return key, nil
}

// signsRequests reports whether lego can sign with key.
func signsRequests(key crypto.Signer) bool {
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		return k.Curve == elliptic.P256() || k.Curve == elliptic.P384()
	case *rsa.PrivateKey:
		return true
	}
	return false
}

// newAccountKey makes a key and has it on disk before any CA sees it.
func (c *Client) newAccountKey() (crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making an account key: %w", err)
	}
	data, err := keypair.MarshalKey(key)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the account's directory: %w", err)
	}
	return key, durable.WriteFile(c.keyPath(), data, ownFile)
}

func (c *Client) saveAccount(file accountFile) error {
	data, err := json.MarshalIndent(file, "", "\t")
	if err != nil {
		return err
	}
	return durable.WriteFile(c.accountPath(), append(data, '\n'), ownFile)
}
