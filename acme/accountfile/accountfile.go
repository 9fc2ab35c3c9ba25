package accountfile

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"keypaird/acme/accountkey"
	"keypaird/acme/refusal"
	"keypaird/renew/keypair"
	"keypaird/renew/problem"
)

// A File is account.json.
type File struct {
	Directory   string    `json:"directory"`
	URL         string    `json:"url"`
	Email       string    `json:"email,omitempty"`
	Terms       string    `json:"terms_of_service,omitempty"` // agreed to
	Created     time.Time `json:"created"`
	Deactivated time.Time `json:"deactivated,omitzero"`
}

// Files are the parts of an account at one CA.
type Files struct {
	CA        string // name
	Directory string // URL
	Store     Store
}

// ErrUnusable marks an account that cannot be used, as it is on disk or as the CA
// sees it.
var ErrUnusable = errors.New("account")

// Error returns the error for a part of the account, or with "" for the account.
func (f Files) Error(part string, err error, remedy string) error {
	return problem.Newf(remedy, "%s: %w %s: %w", f.CA, ErrUnusable, f.Store.Where(part), err)
}

// Load reads account.json; known is false if there is none.
func (f Files) Load() (file File, known bool, err error) {
	data, err := f.Store.Load(AccountPart)
	if errors.Is(err, fs.ErrNotExist) {
		return file, false, nil
	}
	if err != nil {
		return file, false, fmt.Errorf("reading the account: %w", err)
	}
	if json.Unmarshal(data, &file) != nil || file.URL == "" {
		return file, false, f.Error(AccountPart, errors.New("not readable as an account"),
			"restore it from a backup; without one, rename account.json and keep key.pem: the CA finds the account by its key")
	}
	if file.Directory != f.Directory {
		return file, false, f.Error(AccountPart, fmt.Errorf("belongs to %q, not to %s", file.Directory, f.Directory),
			"put back the directory that the account belongs to, or give the other CA a [ca] table of its own under another name")
	}
	return file, true, nil
}

// Save writes account.json.
func (f Files) Save(file File) error {
	data, err := json.MarshalIndent(file, "", "\t")
	if err != nil {
		return err
	}
	return f.Store.Save(AccountPart, append(data, '\n'))
}

// RestoreKey is the remedy for a key that is not the account's.
const RestoreKey = "restore key.pem from a backup; without one, " + refusal.Anew

// Key reads the account's key, and makes one only if there is no account yet. A key
// without an account is left by an interrupted registration; the CA returns the same
// account for the same key (RFC 8555, section 7.3.1).
func (f Files) Key(ctx context.Context, known bool) (key crypto.Signer, made bool, err error) {
	key, err = f.load(KeyPart)
	switch {
	case !errors.Is(err, fs.ErrNotExist):
		return key, false, err
	case known:
		return nil, false, f.Error(AccountPart, errors.New("its key.pem is missing"), RestoreKey)
	}
	key, err = f.MakeKey(ctx, accountkey.Default)
	return key, true, err
}

// Stored returns the account and its key; known is false if there is none.
func (f Files) Stored() (file File, key crypto.Signer, known bool, err error) {
	file, known, err = f.Load()
	if err == nil && known {
		key, _, err = f.Key(context.Background(), known)
	}
	return file, key, known, err
}

func (f Files) load(part string) (crypto.Signer, error) {
	data, err := f.Store.Load(part)
	if err != nil {
		return nil, fmt.Errorf("reading the account's key: %w", err)
	}
	key, err := keypair.ParseKey(data)
	if err == nil && !accountkey.Signs(key) {
		err = errors.New("not of a kind that signs requests here: P-256, P-384 or RSA")
	}
	if err != nil {
		return nil, f.Error(part, err, RestoreKey)
	}
	return key, nil
}

// MakeKey makes a key and saves it before it is used.
func (f Files) MakeKey(ctx context.Context, keyType string) (crypto.Signer, error) {
	return f.make(ctx, KeyPart, keyType)
}

func (f Files) make(ctx context.Context, part, keyType string) (crypto.Signer, error) {
	key, err := keypair.NewKey(ctx, keyType)
	if err != nil {
		return nil, fmt.Errorf("making an account key: %w", err)
	}
	data, err := keypair.MarshalKey(key)
	if err != nil {
		return nil, err
	}
	return key, f.Store.Save(part, data)
}

// NewKey returns the key that the CA was asked to take, nil if there is none: whether
// it did is not known.
func (f Files) NewKey() (crypto.Signer, error) {
	key, err := f.load(NewKeyPart)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return key, err
}

// MakeNewKey makes the key that the CA is to take, and saves it beside the key in use.
func (f Files) MakeNewKey(ctx context.Context, keyType string) (crypto.Signer, error) {
	return f.make(ctx, NewKeyPart, keyType)
}

// UseNew makes the new key the account's. Until then, and if it is never called because
// the process ends, both are kept.
func (f Files) UseNew() error { return f.Store.Rename(NewKeyPart, KeyPart) }

// DropNew removes a new key that the CA did not take.
func (f Files) DropNew() error { return f.Store.Remove(NewKeyPart) }

// SetAside renames the parts of an account, so that another one can take its place.
func (f Files) SetAside(now time.Time) error {
	// account.json last: with it, the others are not missed.
	return errors.Join(f.SetNewAside(now), f.Store.Rename(KeyPart, KeyPart+old(now)), f.Store.Rename(AccountPart, AccountPart+old(now)))
}

// SetNewAside renames the new key, so that another one can take its place.
func (f Files) SetNewAside(now time.Time) error {
	return f.Store.Rename(NewKeyPart, NewKeyPart+old(now))
}

// old returns what is added to the name of a part that is set aside.
func old(now time.Time) string { return ".old-" + now.UTC().Format("20060102T150405Z") }

// Keep keeps an account of another program. One that is there already is never replaced:
// it is an error unless it is the same.
func (f Files) Keep(key crypto.Signer, file File) error {
	const remedy = "move its directory away if no certificate needs that account any more"
	have, known, err := f.Load()
	if err != nil {
		return err
	}
	data, err := f.Store.Load(KeyPart)
	if err == nil {
		kept, err := keypair.ParseKey(data)
		if public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool }); err != nil || !ok || !public.Equal(kept.Public()) {
			return f.Error(KeyPart, errors.New("is there already, and is another key"), remedy)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the account's key: %w", err)
	}
	switch {
	case known && have.URL != file.URL:
		return f.Error(AccountPart, fmt.Errorf("is there already: %s", have.URL), remedy)
	case known:
		return nil
	}
	if data, err = keypair.MarshalKey(key); err == nil {
		err = f.Store.Save(KeyPart, data)
	}
	if err == nil {
		err = f.Save(file)
	}
	return err
}
