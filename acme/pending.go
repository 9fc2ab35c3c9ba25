package acme

import (
	"crypto"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"keypaird/renew/keypair"
)

// A pendingOrder is order.json in a Pending directory: an order that was placed
// and has not yet ended in a stored pair, with the key it is finalized with. One
// file, so that neither is ever there for another of the other: the certificate
// the CA issued while we were killed can still be used.
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
	Forced bool      `json:"forced,omitempty"` // by a person
}

// pending keeps an order under way in a directory.
type pending struct{ dir string }

var ownFile = keypair.FileMode{Perm: 0o600, UID: -1, GID: -1}

func (p pending) file() string { return filepath.Join(p.dir, "order.json") }

// load returns the order under way, the zero value if there is none. What cannot
// be read as one is none.
func (p pending) load() (o pendingOrder, err error) {
	data, err := readOwn(p.file())
	if errors.Is(err, fs.ErrNotExist) {
		return o, nil
	}
	if err != nil {
		return o, fmt.Errorf("reading the order under way: %w", err)
	}
	if json.Unmarshal(data, &o) != nil || o.URL == "" {
		return pendingOrder{}, nil
	}
	return o, nil
}

func (p pending) save(o pendingOrder) error {
	data, err := json.MarshalIndent(o, "", "\t")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return err
	}
	return keypair.WriteFile(p.file(), append(data, '\n'), ownFile)
}

// clear forgets the order under way.
func (p pending) clear() error { return os.RemoveAll(p.dir) }

// matches reports whether the order is the one we would place now.
func (o pendingOrder) matches(s *session, req Request) bool {
	return o.CA == s.client.ca.Name && o.Directory == s.client.ca.Directory && o.Account == s.account.url &&
		s.client.directory.isAt(o.URL) &&
		slices.Equal(o.Names, req.Names) && o.KeyType == req.KeyType && o.Profile == req.Profile
}

// key returns the key of the order, nil if there is none that can be read.
func (o pendingOrder) key() crypto.Signer {
	key, err := keypair.ParseKey([]byte(o.Key))
	if err != nil {
		return nil
	}
	return key
}

// stored reports whether current has the key of the order: then it ended well
// and only its traces are left.
func (o pendingOrder) stored(current *x509.Certificate) bool {
	key := o.key()
	if current == nil || key == nil {
		return false
	}
	pub, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && pub.Equal(current.PublicKey)
}

const maxOwnFile = 1 << 20

// readOwn reads a file that only we write. A directory that others can change
// is refused, and a symbolic link is not followed.
func readOwn(path string) ([]byte, error) {
	err := keypair.CheckDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxOwnFile {
		return nil, fmt.Errorf("%s is not a regular file of at most %d KiB", path, maxOwnFile>>10)
	}
	return io.ReadAll(io.LimitReader(f, maxOwnFile))
}
