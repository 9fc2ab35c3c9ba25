package acme

import (
	"crypto"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"keypaird/renew/keypair"
)

// pendingOrder is order.json in a Pending directory: an order that was placed
// and has not yet ended in a stored pair. Beside it lies key.pem, once there is
// one; the order is finalized with that key and no other, so that a certificate
// the CA issued while we were killed can still be used.
type pendingOrder struct {
	CA        string    `json:"ca"`
	Directory string    `json:"directory"`
	Account   string    `json:"account"`
	URL       string    `json:"url"`
	Names     []string  `json:"names"`
	KeyType   string    `json:"key_type"`
	Profile   string    `json:"profile,omitempty"`
	Created   time.Time `json:"created"`
}

// pending keeps an order under way in a directory.
type pending struct{ dir string }

var ownFile = keypair.FileMode{Perm: 0o600, UID: -1, GID: -1}

func (p pending) orderFile() string { return filepath.Join(p.dir, "order.json") }
func (p pending) keyFile() string   { return filepath.Join(p.dir, "key.pem") }

// load returns the order under way. What cannot be read as one is none: it was
// cut off while it was written, and nothing depends on it yet.
func (p pending) load() (pendingOrder, bool) {
	var o pendingOrder
	data, err := os.ReadFile(p.orderFile())
	if err != nil || json.Unmarshal(data, &o) != nil || o.URL == "" {
		return pendingOrder{}, false
	}
	return o, true
}

func (p pending) save(o pendingOrder) error {
	data, err := json.MarshalIndent(o, "", "\t")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return err
	}
	return keypair.WriteFile(p.orderFile(), append(data, '\n'), ownFile)
}

// key returns the key of the order under way. If there is none yet it makes one
// and has it on disk before any CA is asked to certify it.
func (p pending) key(keyType string) (crypto.Signer, error) {
	data, err := os.ReadFile(p.keyFile())
	if err == nil {
		if key, err := keypair.ParseKey(data); err == nil && isType(key, keyType) {
			return key, nil
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	key, err := newKey(keyType)
	if err != nil {
		return nil, err
	}
	if data, err = keypair.MarshalKey(key); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return nil, err
	}
	return key, keypair.WriteFile(p.keyFile(), data, ownFile)
}

// hasKey reports whether the key of the order under way can be read.
func (p pending) hasKey() bool {
	data, err := os.ReadFile(p.keyFile())
	if err != nil {
		return false
	}
	_, err = keypair.ParseKey(data)
	return err == nil
}

// clear forgets the order under way.
func (p pending) clear() error {
	// The order first: a key without an order is used for the next one.
	if err := os.Remove(p.orderFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.RemoveAll(p.dir)
}

// stored reports whether the key of the order under way is that of the
// certificate we have: then the order ended well and only its traces are left.
func (p pending) stored(current *x509.Certificate) bool {
	if current == nil {
		return false
	}
	data, err := os.ReadFile(p.keyFile())
	if err != nil {
		return false
	}
	key, err := keypair.ParseKey(data)
	if err != nil {
		return false
	}
	pub, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && pub.Equal(current.PublicKey)
}

// matches reports whether the order under way is the one we would place now.
func (o pendingOrder) matches(c *Client, req Request) bool {
	return o.CA == c.ca.Name && o.Directory == c.ca.Directory && o.Account == c.accountURL() &&
		slices.Equal(o.Names, req.Names) && o.KeyType == req.KeyType && o.Profile == req.Profile
}
