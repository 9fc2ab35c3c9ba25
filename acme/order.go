package acme

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	legoacme "github.com/go-acme/lego/v4/acme"
	"github.com/go-acme/lego/v4/acme/api"

	"keypaird/acme/orderlog"
	"keypaird/renew/keypair"
	"keypaird/renew/textfmt"
)

// A Request says what to certify and how each name is proven.
type Request struct {
	Names          []string          // required; normalised, without duplicates
	Proofs         map[string]Proof  // required; one for each of Names
	KeyType        string            // required; ec256 ec384 rsa2048 rsa3072 rsa4096
	Key            crypto.Signer     // to certify, of KeyType; nil: a new one
	Profile        string            // "" lets the CA choose
	PreferredChain string            // common name of the root wanted; "" means the CA's default chain
	Replaces       string            // certificate identifier (RFC 9773, section 4.1); "" means none
	Pending        string            // required; directory that keeps the order under way, made if missing
	Current        *x509.Certificate // what is stored now; nil means nothing
	Foreign        bool              // Current is of another CA, and says nothing of how often this one is asked
	Forced         bool              // a person wants it: however many certificates for these names there are
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
	known   bool          // the CA answered 2xx for it a short while ago
	issuing bool          // finalize was accepted: there is, or will be, a certificate
	begun   time.Time     // when it was placed; zero if that is not known
	forced  bool          // by a person, now or when it was placed
	noted   bool          // the newOrder request that is being sent is in the order log
	asked   time.Time     // when finalize was first answered with status ready
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
	j := &job{client: c, session: s, req: req, pending: pending{req.Pending}, log: c.log, forced: req.Forced}
	s.guard.reserveWith(j.reserveRequest)
	if j.resumed, err = j.resume(ctx); err == nil {
		pair, err = j.drive(ctx)
	}
	if j.resumed && (j.ended(err) || j.stale() && unclear(err)) { // what spoilt it may have happened before we were killed
		j.log.Info("resumed in vain", "ca", c.ca.Name, "order", j.url, "err", err)
		j.resumed, j.known, j.issuing, j.forced = false, false, false, req.Forced
		pair, err = j.drive(ctx)
	}
	if j.ended(err) {
		j.forget()
	}
	return pair, err
}

// ended reports whether err ends the order. One that was finalized has a
// certificate, or will have: it is given up only if the CA says that the order
// is invalid, if the certificate is another one, or after a day.
func (j *job) ended(err error) bool {
	if !over(err) {
		return false
	}
	if _, wrong := errors.AsType[*WrongCertificateError](err); wrong || !j.issuing || j.stale() {
		return true
	}
	return j.order.Status == legoacme.StatusInvalid
}

// forget removes what is kept of the order, which is of no use any more.
func (j *job) forget() {
	if err := j.pending.clear(); err != nil {
		j.log.Warn("order not forgotten", "dir", j.req.Pending, "err", err)
	}
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
		case "": // nor said by the CA
			return p.Status == 0
		}
		return !transient(err) && !p.limited()
	}
	var a *AnswerError
	if errors.As(err, &a) {
		return !a.Garbled
	}
	var w *WrongCertificateError
	var n *NotOfferedError
	return errors.As(err, &w) || errors.As(err, &n)
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
	replaces := j.req.Replaces
	if j.session.core.GetDirectory().RenewalInfo == "" {
		replaces = "" // RFC 9773, section 5
	}
	order, err := j.place(ctx, replaces)
	if replaces != "" && mayBeReplaces(err) {
		j.log.Warn("replaces refused, ordering without", "ca", j.client.ca.Name, "err", err)
		order, err = j.place(ctx, "") // RFC 9773, section 5
	}
	if err != nil {
		return err
	}
	j.known = true
	j.url, j.order, j.key, j.begun = order.Location, order.Order, nil, time.Now().UTC().Truncate(time.Second)
	if j.url == "" {
		return j.nonsense("it gave no order url")
	}
	if !j.client.directory.isAt(j.url) {
		return j.nonsense("the order is at %q, which its directory does not name", textfmt.OneLine(j.url, maxDetail))
	}
	j.log.Info("ordered", "ca", j.client.ca.Name, "order", j.url, "names", j.req.Names)
	return nil
}

// mayBeReplaces reports whether an order was refused for what it replaces. The
// CAs' words for that differ; Pebble's, of a certificate that it does not know,
// are that it has a fault.
func mayBeReplaces(err error) bool {
	var p *Problem
	if !errors.As(err, &p) || p.limited() {
		return false
	}
	return !Everyone(err) || p.Status == http.StatusInternalServerError && p.Type == "serverInternal"
}

func (j *job) place(ctx context.Context, replaces string) (legoacme.ExtendedOrder, error) {
	return again(ctx, orderTries, func() (legoacme.ExtendedOrder, error) {
		j.noted = false // each try may reach the CA
		return once(ctx, j.session, func() (legoacme.ExtendedOrder, error) {
			return j.session.core.Orders.NewWithOptions(j.req.Names, &api.OrderOptions{
				Profile: j.req.Profile, ReplacesCertID: replaces,
			})
		})
	})
}

// reserveRequest notes in the order log what is about to be sent. A newOrder
// request that is sent once more for its nonce alone is the same.
func (j *job) reserveRequest(ctx context.Context, kind orderlog.Kind) error {
	r := orderlog.Request{Names: j.req.Names, Force: j.forced}
	if !j.req.Foreign {
		r.Current = j.req.Current
	}
	if kind == orderlog.Finalize {
		r.Order = j.url
		return j.client.orderLog.Reserve(ctx, kind, r)
	}
	if j.noted {
		return nil
	}
	err := j.client.orderLog.Reserve(ctx, kind, r)
	j.noted = err == nil
	return err
}

func (j *job) nonsense(format string, args ...any) error {
	return &AnswerError{CA: j.client.ca.Name, Err: fmt.Errorf(format, args...)}
}
