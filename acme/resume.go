package acme

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	legoacme "github.com/go-acme/lego/v4/acme"

	"keypaird/acme/orderlog"
	"keypaird/renew/durable"
	"keypaird/renew/keypair"
	"keypaird/renew/textfmt"
)

// orderLife is the age at which an order is given up although the CA has not
// ended it.
const orderLife = 24 * time.Hour

// stale reports whether the order is older than orderLife, even if the clock was
// set back.
func (j *job) stale() bool {
	return !j.begun.IsZero() && time.Since(j.begun).Abs() > orderLife
}

// OwnLimit returns the limit that Obtain would reach now, the error of log.Limit;
// nil if there is none. dir is the Pending directory: an unfinished order
// there is resumed, and does not count as another one.
func OwnLimit(log OrderLog, dir string, r orderlog.Request) error {
	o, err := orderDir(dir).load()
	if err == nil && o.URL != "" && slices.Equal(o.Names, r.Names) && !o.stored(r.Current) {
		r.Order, r.Force = o.URL, r.Force || o.Forced
	}
	return log.Limit(r)
}

// resume loads the saved order and its status. It reports false where a new order
// is needed: the saved one is for another certificate, the CA does not know it any
// more or calls it invalid, or it is stale.
func (j *job) resume(ctx context.Context) (bool, error) {
	o, err := j.store.load()
	if err != nil || !o.matches(j.session, j.req) || o.stored(j.req.Current) {
		return false, err
	}
	j.step("resuming the order at %s", j.client.ca.Name)
	j.url, j.begun = o.URL, o.Begun
	j.known = time.Since(j.begun).Abs() < lagLimit
	err = j.fetchOrder(ctx)
	if final(err) || isGone(err) || j.stale() && inconclusive(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("resuming: %w", err)
	}
	if j.order.Status != legoacme.StatusPending {
		j.withdrawAll(ctx)
	}
	status := j.order.Status
	open := status == legoacme.StatusPending || status == legoacme.StatusProcessing
	late := status == legoacme.StatusProcessing || status == legoacme.StatusValid
	j.key = o.usableKey(j.req, late)
	if status == legoacme.StatusInvalid || open && j.stale() || late && j.key == nil { // nothing can be done with its certificate
		return false, nil
	}
	j.forced = j.forced || o.Forced
	j.log.Info("resumed", "ca", j.client.ca.Name, "order", j.url, "status", textfmt.OneLine(status, 32))
	return true, nil
}

// fetchOrder fetches the order.
func (j *job) fetchOrder(ctx context.Context) error {
	j.session.transport.label(j.url, resOrder)
	order, err := ask(ctx, j, tries, func() (legoacme.ExtendedOrder, error) {
		return j.session.core.Orders.Get(j.url)
	})
	if err == nil {
		j.order, j.known = order.Order, true
	}
	return err
}

// lagLimit is how long a resource of an order that the CA knows may be missing.
const lagLimit = 30 * time.Second

// ask is call for a resource of the order. If the CA has answered for the order
// already, a 404 comes from a replica that lags, and ask tries again.
func ask[T any](ctx context.Context, j *job, n int, request func() (T, error)) (T, error) {
	waiting := pace{time.Now()}
	for {
		v, err := call(ctx, j.session, n, request)
		now := time.Now()
		p, _ := errors.AsType[*Problem](err)
		if p == nil || p.Status != http.StatusNotFound || !j.known || now.Sub(waiting.since) >= lagLimit {
			return v, err
		}
		pause := max(waiting.next(now, answer{retryAfter: p.RetryAt}), lagPause)
		if err := sleep(ctx, pause); err != nil {
			return v, err
		}
	}
}

// lagPause is the shortest time between two requests for what is missing.
const lagPause = 50 * time.Millisecond

// A pendingOrder is order.json in a Pending directory: an order that was placed
// and whose pair is not stored yet, with the key that finalizes it. URL and key
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

	// What was stored when the order was placed, by the SHA-256 of the leaf: it
	// may have the key of the order already.
	Had string `json:"had,omitempty"`
}

// An orderStore keeps the one order that is not finished.
type orderStore interface {
	// load returns the order, the zero value if there is none.
	load() (pendingOrder, error)
	// save returns once the order survives a crash of the machine. One without a
	// URL is not placed yet, and save only checks that it can be saved.
	save(o pendingOrder) error
	// clear removes the order.
	clear() error
}

// An orderDir is a directory as orderStore: the order is in order.json.
type orderDir string

func (d orderDir) file() string { return filepath.Join(string(d), "order.json") }

// load returns the zero value for a file that is not an order.
func (d orderDir) load() (o pendingOrder, err error) {
	data, err := readOwn(d.file())
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
	data, err := d.encode(o)
	if err != nil {
		return err
	}
	if o.URL == "" { // without a sync, which takes as long as placing the order
		return durable.Overwrite(d.file(), data, 0)
	}
	if old, err := d.load(); err == nil && old.URL == "" { // there is nothing to lose
		return durable.Overwrite(d.file(), data, pendingDirs)
	}
	return durable.WriteFile(d.file(), data, ownFile)
}

// pendingDirs is how many directories on the way to the file may be new:
// certs/NAME/pending/CA/order.json is known by the entries of four.
const pendingDirs = 4

// encode makes the directory and returns the contents of the file.
func (d orderDir) encode(o pendingOrder) ([]byte, error) {
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return nil, unwritten(err)
	}
	data, err := json.MarshalIndent(o, "", "\t")
	return append(data, '\n'), err
}

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
		s.client.directory.isAt(o.URL) &&
		slices.Equal(o.Names, req.Names) && o.KeyType == req.KeyType && o.Profile == req.Profile
}

// key returns the key of the order, or nil.
func (o pendingOrder) key() crypto.Signer {
	key, err := keypair.ParseKey([]byte(o.Key))
	if err != nil {
		return nil
	}
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
	case key == nil, req.Key == nil, same(key, req.Key.Public()):
		return key
	case finalized && req.Current != nil && same(key, req.Current.PublicKey):
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
