package acme

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"keypaird/acme/accountfile"
	"keypaird/renew/durable"
	"keypaird/renew/keypair"
)

// A pendingOrder is order.json in an [OrderStore]: an order that was placed,
// with the key that finalizes it, until its pair is stored. URL and key
// are written together, so that a certificate which the CA issued after keypaird
// was killed can still be used.
type pendingOrder struct {
	CA        string   `json:"ca"`
	Directory string   `json:"directory"`
	Account   string   `json:"account"`
	URL       string   `json:"url"`
	Names     []string `json:"names"`
	KeyType   string   `json:"key_type"`
	Profile   string   `json:"profile,omitempty"`
	Key       string   `json:"key,omitempty"` // PEM; "" while it is being made

	Begun  time.Time `json:"begun,omitzero"`
	Forced bool      `json:"forced,omitempty"` // by the operator

	// SHA-256 of the leaf that was stored when the order was placed: it may have the
	// key of the order already.
	Had string `json:"had,omitempty"`
}

// An OrderStore keeps the one order of a target at a CA that is not finished, as the
// content of order.json. [OrderDir] is a file.
type OrderStore interface {
	// Load returns what was saved last; nil if there is nothing.
	Load() ([]byte, error)

	// Save replaces the saved order. It is called before the order is
	// placed, before anything of it is published and before it is finalized; after an
	// error that request is not sent. With placed, the order is at the CA already, and
	// Save returns once data survives a crash of the machine.
	Save(data []byte, placed bool) error

	// Clear removes the order.
	Clear() error
}

// loadOrder returns the order in a store; the zero value if there is none that was
// placed. It also reports whether what was saved is damaged.
func loadOrder(store OrderStore) (o pendingOrder, damaged bool, err error) {
	data, err := store.Load()
	if err != nil {
		return o, false, fmt.Errorf("reading the order under way: %w", err)
	}
	o, damaged = parseOrder(data)
	return o, damaged, nil
}

func parseOrder(data []byte) (o pendingOrder, damaged bool) {
	if err := json.Unmarshal(data, &o); err != nil || o.URL == "" {
		return pendingOrder{}, err != nil && data != nil
	}
	return o, false
}

func (o pendingOrder) save(store OrderStore) error {
	data, err := json.MarshalIndent(o, "", "\t")
	if err != nil {
		return err
	}
	return store.Save(append(data, '\n'), o.URL != "")
}

// An OrderDir is a directory as OrderStore: the order is in order.json.
type OrderDir string

func (d OrderDir) file() string { return filepath.Join(string(d), "order.json") }

// Load implements OrderStore.
func (d OrderDir) Load() ([]byte, error) {
	data, err := accountfile.Read(d.file())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// Save implements OrderStore.
func (d OrderDir) Save(data []byte, placed bool) error {
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return unwritten(err)
	}
	if !placed { // without a sync, which takes as long as placing the order
		return durable.Overwrite(d.file(), data, 0)
	}
	if old, err := d.Load(); err == nil {
		if o, _ := parseOrder(old); o.URL == "" { // there is nothing to lose
			return durable.Overwrite(d.file(), data, pendingDirs)
		}
	}
	return durable.WriteFile(d.file(), data, durable.Private)
}

// pendingDirs is how many directories have to be synced: of NAME/pending/CA/order.json
// the last three names may be new. That of NAME is durable, see keypair.Store.Make.
const pendingDirs = 3

// unwritten returns an error of package os as a WriteError, which has a remedy.
func unwritten(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return &durable.WriteError{Path: e.Path, Err: e.Err}
	}
	return err
}

// Clear implements OrderStore.
func (d OrderDir) Clear() error { return os.RemoveAll(string(d)) }

// matches reports whether req would place the same order.
func (o pendingOrder) matches(s *session, req Request) bool {
	return o.CA == s.client.ca.Name && o.Directory == s.client.ca.Directory && o.Account == s.account.url &&
		s.client.server.Serves(o.URL) &&
		slices.Equal(o.Names, req.Names) && o.KeyType == req.KeyType && o.Profile == req.Profile
}

// key returns the key of the order, or nil.
func (o pendingOrder) key() crypto.Signer {
	key, _ := keypair.ParseKey([]byte(o.Key))
	return key
}

// stored reports whether current came from the order: then the order is finished
// and only its file is left.
func (o pendingOrder) stored(current *x509.Certificate) bool {
	key := o.key()
	return current != nil && key != nil && same(key, current.PublicKey) && o.Had != leafSum(current)
}

// usableKey returns the saved key if it fits req, else nil. A finalized order may
// have the key of the current certificate: renewing with the same key is harmless.
func (o pendingOrder) usableKey(req Request, finalized bool) crypto.Signer {
	key := o.key()
	switch {
	case key == nil, req.Key == nil && !req.NewKey, req.Key != nil && same(key, req.Key.Public()):
		return key
	case finalized && !req.NewKey && req.Current != nil && same(key, req.Current.PublicKey):
		return key
	}
	return nil
}

// same reports whether public belongs to key.
func same(key crypto.Signer, public crypto.PublicKey) bool {
	pub, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && pub.Equal(public)
}

// leafSum returns the SHA-256 of a certificate, or "".
func leafSum(leaf *x509.Certificate) string {
	if leaf == nil {
		return ""
	}
	return fmt.Sprintf("%x", sha256.Sum256(leaf.Raw))
}

// IsStored reports whether leaf came from the order in a store. The order is also left
// there if the process is killed after its pair is stored.
func IsStored(store OrderStore, leaf *x509.Certificate) (bool, error) {
	o, _, err := loadOrder(store)
	return err == nil && o.stored(leaf), err
}
