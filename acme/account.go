package acme

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	legoacme "github.com/go-acme/lego/v4/acme"

	"keypaird/renew/keypair"
)

// account.json beside key.pem. The URL is the account's identity: CAA
// accounturi (RFC 8657) and dns-persist-01 records name it, so it is kept, and
// never replaced without a person.
type accountFile struct {
	Directory string    `json:"directory"`
	URL       string    `json:"url"`
	Email     string    `json:"email,omitempty"`
	Terms     string    `json:"terms_of_service,omitempty"` // agreed to
	Created   time.Time `json:"created"`
}

// An AccountError reports an account that cannot be used as it lies on disk.
type AccountError struct {
	CA, Path, Problem, Hint string
}

func (e *AccountError) Error() string {
	return fmt.Sprintf("%s: account %s: %s", e.CA, e.Path, e.Problem)
}

// Remedy says what the operator can do about it.
func (e *AccountError) Remedy() string { return e.Hint }

// account returns the account's key and URL; it registers one only where there
// was none. Callers hold c.opening.
func (c *Client) account(ctx context.Context) error {
	if c.key != nil && c.accountURL() != "" {
		return nil
	}
	key, file, err := c.loadAccount()
	if err != nil {
		return err
	}
	c.key = key
	if file.URL == "" {
		return c.register(ctx)
	}
	c.setAccount(file)
	if c.email != "" && c.email != file.Email {
		c.updateContact(ctx, file)
	}
	return nil
}

// loadAccount reads what there is. A key without a URL is an account whose
// registration was cut off: the CA returns the same account for the same key
// (RFC 8555, section 7.3.1).
func (c *Client) loadAccount() (crypto.Signer, accountFile, error) {
	var file accountFile
	path := filepath.Join(c.dir, "account.json")
	data, err := os.ReadFile(path)
	known := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, file, fmt.Errorf("reading the account: %w", err)
	}
	bad := func(problem, hint string) error {
		return &AccountError{CA: c.ca.Name, Path: path, Problem: problem, Hint: hint}
	}
	if known {
		if json.Unmarshal(data, &file) != nil || file.URL == "" {
			return nil, file, bad("not readable as an account", "restore it from a backup; without one, remove account.json and keep key.pem: the CA finds the account by its key")
		}
		if file.Directory != c.ca.Directory {
			return nil, file, bad(fmt.Sprintf("belongs to %s, not to %s", file.Directory, c.ca.Directory), "give the CA in the configuration another name, or move this directory away to register anew")
		}
	}
	pem, err := os.ReadFile(filepath.Join(c.dir, "key.pem"))
	if errors.Is(err, fs.ErrNotExist) {
		if known {
			return nil, file, bad("its key.pem is missing", "restore key.pem from a backup; to register a new account instead, move the directory away (CAA accounturi and dns-persist-01 records must then change)")
		}
		key, err := c.newAccountKey()
		return key, file, err
	}
	if err != nil {
		return nil, file, fmt.Errorf("reading the account's key: %w", err)
	}
	key, err := keypair.ParseKey(pem)
	if err != nil {
		return nil, file, bad("key.pem: "+err.Error(), "restore key.pem from a backup")
	}
	return key, file, nil
}

// newAccountKey makes a key and has it on disk before any CA sees it.
func (c *Client) newAccountKey() (crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making an account key: %w", err)
	}
	pem, err := keypair.MarshalKey(key)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the account's directory: %w", err)
	}
	return key, keypair.WriteFile(filepath.Join(c.dir, "key.pem"), pem, keypair.FileMode{Perm: 0o600, UID: -1, GID: -1})
}

// register asks for an account for c.key, or for the URL of the one it has.
func (c *Client) register(ctx context.Context) error {
	s, err := c.open(ctx, c.key, "")
	if err != nil {
		return err
	}
	meta := s.core.GetDirectory().Meta
	if meta.ExternalAccountRequired && c.ca.EABKeyID == "" {
		return &Problem{CA: c.ca.Name, Type: "externalAccountRequired", Detail: "the CA wants an external account binding"}
	}
	req := legoacme.Account{TermsOfServiceAgreed: true}
	if c.email != "" {
		req.Contact = []string{"mailto:" + c.email}
	}
	account, err := call(ctx, s, tries, func() (legoacme.ExtendedAccount, error) {
		if c.ca.EABKeyID != "" {
			return s.core.Accounts.NewEAB(req, c.ca.EABKeyID, c.ca.EABHMAC)
		}
		return s.core.Accounts.New(req)
	})
	if err != nil {
		return fmt.Errorf("registering: %w", err)
	}
	if account.Location == "" {
		return fmt.Errorf("registering: %s gave no account url", c.ca.Name)
	}
	file := accountFile{
		Directory: c.ca.Directory, URL: account.Location, Email: c.email,
		Terms: meta.TermsOfService, Created: time.Now().UTC().Truncate(time.Second),
	}
	if err := c.saveAccount(file); err != nil {
		return err
	}
	c.setAccount(file)
	c.log.Info("registered", "ca", c.ca.Name, "account", file.URL, "terms_of_service", oneLine(file.Terms, maxDetail))
	return nil
}

// updateContact tells the CA of a changed address. Failing costs nothing but a
// line in the log: no certificate depends on it.
func (c *Client) updateContact(ctx context.Context, file accountFile) {
	s, err := c.open(ctx, c.key, file.URL)
	if err == nil {
		_, err = call(ctx, s, 1, func() (legoacme.Account, error) {
			return s.core.Accounts.Update(file.URL, legoacme.Account{Contact: []string{"mailto:" + c.email}})
		})
	}
	if err == nil {
		file.Email = c.email
		err = c.saveAccount(file)
	}
	if err != nil {
		c.log.Warn("contact not updated", "ca", c.ca.Name, "email", c.email, "err", err)
	}
}

func (c *Client) saveAccount(file accountFile) error {
	data, err := json.MarshalIndent(file, "", "\t")
	if err != nil {
		return err
	}
	return keypair.WriteFile(filepath.Join(c.dir, "account.json"), append(data, '\n'), keypair.FileMode{Perm: 0o600, UID: -1, GID: -1})
}
