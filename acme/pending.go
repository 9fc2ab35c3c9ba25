package acme

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
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

// A pendingOrder is order.json in a Pending directory: an order that was placed,
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

// An orderStore keeps the one order that is not finished.
type orderStore interface {
	// load returns the order, the zero value if there is none.
	load() (pendingOrder, error)
	// save returns once the order survives a crash of the machine.
	save(o pendingOrder) error
	// clear removes the order.
	clear() error
}

// An orderDir is a directory as orderStore: the order is in order.json.
type orderDir string

func (d orderDir) file() string { return filepath.Join(string(d), "order.json") }

// load returns the zero value for a file that is not an order.
func (d orderDir) load() (o pendingOrder, err error) {
	data, err := accountfile.Read(d.file())
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

func (d orderDir) save(o pendingOrder) error {
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return unwritten(err)
	}
	data, err := json.MarshalIndent(o, "", "\t")
	if err != nil {
		return err
	}
	data = append(data, '\n')
	if o.URL == "" { // without a sync, which takes as long as placing the order
		return durable.Overwrite(d.file(), data, 0)
	}
	if old, err := d.load(); err == nil && old.URL == "" { // there is nothing to lose
		return durable.Overwrite(d.file(), data, pendingDirs)
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

func (d orderDir) clear() error { return os.RemoveAll(string(d)) }

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
	sum := sha256.Sum256(leaf.Raw)
	return hex.EncodeToString(sum[:])
}

// Forget removes what Obtain kept in dir, once its pair is stored.
func Forget(dir string) error { return orderDir(dir).clear() }

// ForgetIfStored calls Forget if leaf came from the order in dir: the process was
// killed between storing the pair and Forget.
func ForgetIfStored(dir string, leaf *x509.Certificate) (forgotten bool, err error) {
	o, err := orderDir(dir).load()
	if err != nil || !o.stored(leaf) {
		return false, err
	}
	return true, Forget(dir)
}
