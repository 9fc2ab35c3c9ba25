package acme

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	legoacme "github.com/go-acme/lego/v4/acme"
	"github.com/go-acme/lego/v4/acme/api"

	"keypaird/renew/keypair"
)

// A Request says what to certify and how each name is proven.
type Request struct {
	Names          []string          // required; normalised, without duplicates
	Proofs         map[string]Proof  // required; one for each of Names
	KeyType        string            // required; ec256 ec384 rsa2048 rsa3072 rsa4096
	Profile        string            // "" lets the CA choose
	PreferredChain string            // common name of the root wanted; "" means the CA's default chain
	Replaces       string            // certificate identifier (RFC 9773, section 4.1); "" means none
	Pending        string            // required; directory that keeps the order under way, made if missing
	Current        *x509.Certificate // what is stored now; nil means nothing
	Step           func(step string) // told of each step, concurrently; may be nil
}

// A Proof is the way one name is proven.
type Proof struct {
	Type   string // challenge type
	Prover Prover
}

// orderTimeout bounds the whole of Obtain; what is left is resumed.
const orderTimeout = 30 * time.Minute

// A TimeoutError reports a CA that did not come to an end in time.
type TimeoutError struct {
	CA, What string
	After    time.Duration
}

func (e *TimeoutError) Error() string {
	return fmt.Sprintf("%s: %s: no end after %s", e.CA, e.What, e.After)
}

// Remedy says what the operator can do about it.
func (e *TimeoutError) Remedy() string {
	return "nothing is lost: the order is kept and the next run goes on with it"
}

// A job is one run of Obtain.
type job struct {
	client  *Client
	session *session
	req     Request
	pending pending
	log     *slog.Logger

	url     string // of the order
	order   legoacme.Order
	resumed bool          // a killed run placed it
	onDisk  chan struct{} // closed when the order can be resumed
	key     crypto.Signer // the order is finalized with; nil until there is one
}

// Obtain returns a pair for exactly the names of req. It goes on with the order
// under way in req.Pending if that is for the same thing; the caller empties the
// directory with [Forget] once the pair is safely stored.
func (c *Client) Obtain(ctx context.Context, req Request) (pair *keypair.Pair, err error) {
	defer recoverTo(&err, c.log)
	ctx, cancel := context.WithTimeoutCause(ctx, orderTimeout, &TimeoutError{c.ca.Name, "ordering", orderTimeout})
	defer cancel()
	s, err := c.session(ctx)
	if err != nil {
		return nil, err
	}
	defer c.done(s)
	j := &job{client: c, session: s, req: req, pending: pending{req.Pending}, log: c.log}
	if j.resumed, err = j.resume(ctx); err == nil {
		pair, err = j.drive(ctx)
	}
	if j.resumed && over(err) { // what spoilt it may have happened before we were killed
		j.log.Info("resumed in vain", "ca", c.ca.Name, "order", j.url, "err", err)
		j.resumed = false
		pair, err = j.drive(ctx)
	}
	if over(err) {
		if err := j.pending.clear(); err != nil {
			j.log.Warn("order not forgotten", "dir", req.Pending, "err", err)
		}
	}
	return pair, err
}

// Forget removes what Obtain kept in dir, once its pair is stored.
func Forget(dir string) error { return pending{dir}.clear() }

// Settle is Forget if the order kept in dir is the one that ended in leaf: the
// pair was stored, and the process killed before it could forget.
func Settle(dir string, leaf *x509.Certificate) (settled bool, err error) {
	o, err := pending{dir}.load()
	if err != nil || !o.stored(leaf) {
		return false, err
	}
	return true, Forget(dir)
}

// recoverTo turns a panic, of ours or of lego's, into an error: one order must
// not end the process that keeps the others alive.
func recoverTo(err *error, log *slog.Logger) {
	if v := recover(); v != nil {
		log.Error("panicked", "value", v, "stack", string(debug.Stack()))
		*err = fmt.Errorf("internal fault: %v", v)
	}
}

// over reports whether err ends the order, so that resuming it is pointless.
func over(err error) bool {
	var p *Problem
	if errors.As(err, &p) {
		switch p.Type {
		case "accountDoesNotExist", "userActionRequired", "badNonce": // not the order's fault
			return false
		}
		return !transient(err) && !p.limited()
	}
	var w *WrongCertificateError
	var a *AnswerError
	var n *NotOfferedError
	return errors.As(err, &w) || errors.As(err, &a) || errors.As(err, &n)
}

// step tells whoever is waiting what is being done.
func (j *job) step(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	j.log.Debug("step", "step", text)
	if j.req.Step != nil {
		j.req.Step(text)
	}
}

// begin places an order.
func (j *job) begin(ctx context.Context) error {
	j.step("ordering at %s", j.client.ca.Name)
	order, err := j.place(ctx, j.req.Replaces)
	var p *Problem
	if j.req.Replaces != "" && errors.As(err, &p) && !p.limited() && !transient(err) {
		j.log.Warn("replaces refused, ordering without", "ca", j.client.ca.Name, "err", err)
		order, err = j.place(ctx, "") // RFC 9773, section 5
	}
	if err != nil {
		return err
	}
	j.url, j.order, j.key = order.Location, order.Order, nil
	if j.url == "" {
		return j.nonsense("it gave no order url")
	}
	j.log.Info("ordered", "ca", j.client.ca.Name, "order", j.url, "names", j.req.Names)
	return nil
}

func (j *job) place(ctx context.Context, replaces string) (legoacme.ExtendedOrder, error) {
	return call(ctx, j.session, orderTries, func() (legoacme.ExtendedOrder, error) {
		return j.session.core.Orders.NewWithOptions(j.req.Names, &api.OrderOptions{
			Profile: j.req.Profile, ReplacesCertID: replaces,
		})
	})
}

// resume takes up the order under way. It is not worth it when that is for
// something else, or the CA has forgotten it or found it invalid.
func (j *job) resume(ctx context.Context) (bool, error) {
	o, err := j.pending.load()
	if err != nil || !o.matches(j.session, j.req) || o.stored(j.req.Current) {
		return false, err
	}
	j.step("resuming the order at %s", j.client.ca.Name)
	j.url, j.key = o.URL, o.key()
	err = j.look(ctx)
	if over(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("resuming: %w", err)
	}
	if j.order.Status != legoacme.StatusPending {
		j.withdrawAll(ctx)
	}
	late := j.order.Status == legoacme.StatusProcessing || j.order.Status == legoacme.StatusValid
	if j.order.Status == legoacme.StatusInvalid || late && j.key == nil { // nothing can be done with its certificate
		return false, nil
	}
	j.log.Info("resumed", "ca", j.client.ca.Name, "order", j.url, "status", oneLine(j.order.Status, 32))
	return true, nil
}

// look fetches the order.
func (j *job) look(ctx context.Context) error {
	order, err := call(ctx, j.session, tries, func() (legoacme.ExtendedOrder, error) {
		return j.session.core.Orders.Get(j.url)
	})
	if err == nil {
		j.order = order.Order
	}
	return err
}

func (j *job) nonsense(format string, args ...any) error {
	return &AnswerError{j.client.ca.Name, fmt.Errorf(format, args...)}
}
