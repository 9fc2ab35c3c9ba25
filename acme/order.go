package acme

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
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
	Pending        string            // required; directory that keeps the order under way
	Current        *x509.Certificate // what is stored now; nil means nothing
	Step           func(step string) // told of each step; may be nil
}

// A Proof is the way one name is proven.
type Proof struct {
	Type   string // challenge type
	Prover Prover
}

const (
	verdictTimeout = 5 * time.Minute  // from the response to a challenge to the CA's verdict
	orderTimeout   = 30 * time.Minute // the whole of Obtain; what is left is resumed
)

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

// A NotOfferedError reports a name that the CA does not let us prove the way
// the configuration says.
type NotOfferedError struct {
	CA, Name, Type string
	Offered        []string
}

func (e *NotOfferedError) Error() string {
	return fmt.Sprintf("%s: %s: the CA does not offer %s, only %v", e.CA, e.Name, e.Type, e.Offered)
}

// Remedy says what the operator can do about it.
func (e *NotOfferedError) Remedy() string {
	return "prove the name another way, or name another CA in sign_with"
}

// A job is one run of Obtain.
type job struct {
	client  *Client
	session *session
	req     Request
	pending pending
	log     *slog.Logger

	url   string // of the order
	order legoacme.Order
	kept  func() (crypto.Signer, error) // see keep
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
	if j.pending.stored(req.Current) {
		if err := j.pending.clear(); err != nil {
			return nil, fmt.Errorf("forgetting the order before: %w", err)
		}
	}
	if err := j.begin(ctx); err != nil {
		return nil, fmt.Errorf("ordering: %w", err)
	}
	j.keep()
	pair, err = j.drive(ctx)
	if over(err) {
		_, _ = j.kept() // so that nothing is written behind our back
		if err := j.pending.clear(); err != nil {
			j.log.Warn("order not forgotten", "dir", req.Pending, "err", err)
		}
	}
	return pair, err
}

// Forget removes what Obtain kept in dir, once its pair is stored.
func Forget(dir string) error { return pending{dir}.clear() }

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
		return !transient(err) && p.Type != "rateLimited"
	}
	var w *WrongCertificateError
	return errors.As(err, &w)
}

// step tells whoever is waiting what is being done.
func (j *job) step(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	j.log.Debug("step", "step", text)
	if j.req.Step != nil {
		j.req.Step(text)
	}
}

// begin resumes the order under way, or places one.
func (j *job) begin(ctx context.Context) error {
	if o, ok := j.pending.load(); ok {
		if o.matches(j.client, j.req) {
			if done, err := j.resume(ctx, o); done || err != nil {
				return err
			}
		}
		if err := j.pending.clear(); err != nil {
			return err
		}
	}
	j.step("ordering at %s", j.client.ca.Name)
	order, err := j.place(ctx, j.req.Replaces)
	var p *Problem
	if j.req.Replaces != "" && errors.As(err, &p) && p.Type != "rateLimited" && !transient(err) {
		j.log.Warn("replaces refused, ordering without", "ca", j.client.ca.Name, "err", err)
		order, err = j.place(ctx, "") // RFC 9773, section 5
	}
	if err != nil {
		return err
	}
	if order.Location == "" {
		return &UnreachableError{j.client.ca.Name, j.client.ca.Directory, errors.New("the CA gave no order url")}
	}
	j.url, j.order = order.Location, order.Order
	j.log.Info("ordered", "ca", j.client.ca.Name, "order", j.url, "names", j.req.Names)
	return nil
}

func (j *job) place(ctx context.Context, replaces string) (legoacme.ExtendedOrder, error) {
	return call(ctx, j.session, tries, func() (legoacme.ExtendedOrder, error) {
		return j.session.core.Orders.NewWithOptions(j.req.Names, &api.OrderOptions{
			Profile: j.req.Profile, ReplacesCertID: replaces,
		})
	})
}

// resume looks at an order placed before. It is not worth going on with when
// the CA has forgotten it or found it invalid.
func (j *job) resume(ctx context.Context, o pendingOrder) (bool, error) {
	j.step("resuming the order at %s", j.client.ca.Name)
	j.url = o.URL
	err := j.look(ctx)
	var p *Problem
	if errors.As(err, &p) && !transient(err) && p.Type != "rateLimited" {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	switch j.order.Status {
	case legoacme.StatusInvalid:
		return false, nil
	case legoacme.StatusProcessing, legoacme.StatusValid:
		if !j.pending.hasKey() {
			return false, nil // nothing can be done with its certificate
		}
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

// keep makes the key and has it and the order's URL on disk while the CA is
// busy with the names: RSA keys and disks take long. The order is not finalized
// before both are safe.
func (j *job) keep() {
	type kept struct {
		key crypto.Signer
		err error
	}
	o := pendingOrder{
		CA: j.client.ca.Name, Directory: j.client.ca.Directory, Account: j.client.accountURL(),
		URL: j.url, Names: j.req.Names, KeyType: j.req.KeyType, Profile: j.req.Profile,
		Created: time.Now().UTC().Truncate(time.Second),
	}
	saved, made := make(chan error, 1), make(chan kept, 1) // so that neither goroutine hangs when the job is given up
	go func() { saved <- j.pending.save(o) }()
	go func() {
		key, err := j.pending.key(j.req.KeyType)
		made <- kept{key, err}
	}()
	j.kept = sync.OnceValues(func() (crypto.Signer, error) {
		k, err := <-made, <-saved
		return k.key, errors.Join(k.err, err)
	})
}

// drive takes the order from whatever state it is in to a checked pair (RFC
// 8555, section 7.1.6).
func (j *job) drive(ctx context.Context) (*keypair.Pair, error) {
	waiting := pace{time.Now()}
	proven := false
	for {
		var err error
		switch j.order.Status {
		case legoacme.StatusPending:
			if !proven {
				if err := j.proveAll(ctx); err != nil {
					return nil, err
				}
				proven, waiting = true, pace{time.Now()}
				err = j.look(ctx)
			} else {
				err = j.wait(ctx, waiting, "making the order ready")
			}
		case legoacme.StatusReady:
			j.step("finalizing")
			waiting = pace{time.Now()}
			err = j.finalize(ctx)
		case legoacme.StatusProcessing:
			err = j.wait(ctx, waiting, "issuing")
		case legoacme.StatusValid:
			return j.fetch(ctx)
		case legoacme.StatusInvalid:
			return nil, j.invalid()
		default:
			return nil, &UnreachableError{j.client.ca.Name, j.client.ca.Directory,
				fmt.Errorf("the order has the unknown status %q", oneLine(j.order.Status, 32))}
		}
		if err != nil {
			return nil, err
		}
	}
}

// wait lets the CA work for as long as it asks, and looks again.
func (j *job) wait(ctx context.Context, p pace, what string) error {
	now := time.Now()
	if now.Sub(p.since) > verdictTimeout {
		return &TimeoutError{j.client.ca.Name, what, verdictTimeout}
	}
	if err := sleep(ctx, p.next(now, j.session.guard.answer(j.url))); err != nil {
		return err
	}
	err := j.look(ctx)
	if transient(err) {
		return nil // still the CA's turn
	}
	return err
}

// finalize sends the request to sign. If the answer is lost, or the CA finds
// the order not ready after all, its state decides what comes next.
func (j *job) finalize(ctx context.Context) error {
	key, err := j.kept()
	if err != nil {
		return fmt.Errorf("keeping the order: %w", err)
	}
	der, err := csr(key, j.req.Names)
	if err != nil {
		return fmt.Errorf("making the request to sign: %w", err)
	}
	order, err := call(ctx, j.session, 1, func() (legoacme.ExtendedOrder, error) {
		return j.session.core.Orders.UpdateForCSR(j.order.Finalize, der)
	})
	var p *Problem
	if transient(err) || errors.As(err, &p) && p.Type == "orderNotReady" {
		j.log.Debug("finalize unanswered", "err", err)
		if err := sleep(ctx, retryPause); err != nil {
			return err
		}
		return j.look(ctx)
	}
	if err != nil {
		return fmt.Errorf("finalizing: %w", err)
	}
	j.order = order.Order
	return nil
}

// invalid says why the CA gave the order up.
func (j *job) invalid() error {
	if j.order.Error != nil {
		return j.client.problem(j.order.Error, answer{})
	}
	return &Problem{CA: j.client.ca.Name, Type: "orderInvalid", Detail: "the CA gave the order up without a reason"}
}
