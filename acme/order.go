package acme

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	legoacme "github.com/go-acme/lego/v4/acme"
	"github.com/go-acme/lego/v4/acme/api"

	"keypaird/acme/answer"
	"keypaird/acme/orderlog"
	"keypaird/acme/refusal"
	"keypaird/acme/transport"
	"keypaird/renew/keypair"
	"keypaird/renew/problem"
	"keypaird/renew/textfmt"
)

// A Request describes the certificate and how each name is validated.
type Request struct {
	Target         string            // what the operator calls the certificate, for errors
	Names          []string          // required; normalised, without duplicates
	Methods        map[string]Method // required; one for each of Names
	KeyType        string            // required; ec256 ec384 rsa2048 rsa3072 rsa4096
	Key            crypto.Signer     // to certify, of KeyType; nil: a new one
	NewKey         bool              // without Key: not that of an unfinished order either
	Profile        string            // "" lets the CA choose
	PreferredChain string            // common name of the root wanted; "" means the CA's default chain
	Replaces       string            // certificate identifier (RFC 9773, section 4.1); "" means none
	Pending        OrderStore        // required; of the unfinished order
	Current        *x509.Certificate // what is stored now; nil means nothing
	Foreign        bool              // Current is of another CA, and does not count against the limit of this one
	Forced         bool              // requested by the operator: the limit of certificates for these names does not apply
	Step           func(step string) // called with each step, concurrently; may be nil
}

// A Method says how the CA validates one name.
type Method struct {
	Type   string // challenge type
	Solver Solver
}

// orderTimeout bounds Obtain; the next call resumes the order.
const orderTimeout = 30 * time.Minute

// A job is one run of Obtain.
type job struct {
	client  *Client
	session *session
	req     Request
	log     *slog.Logger

	url     string // of the order
	order   legoacme.Order
	resumed bool          // a previous run placed it
	known   bool          // the CA answered 2xx for it a short while ago
	issuing bool          // finalize was accepted: there is, or will be, a certificate
	begun   time.Time     // when it was placed; zero if that is not known
	forced  bool          // by the operator, now or when it was placed
	noted   bool          // the newOrder request that is being sent is in the order log
	asked   time.Time     // when finalize was sent first
	named   bool          // the certificate request has a common name: the CA refused one without
	heard   time.Time     // when the CA last answered for the order
	onDisk  chan struct{} // closed when the order can be resumed
	key     crypto.Signer // finalizes the order; nil until it is made
}

// Obtain returns a pair for exactly the names of req. It resumes the order
// in req.Pending if that is for the same certificate. The caller clears that
// once the pair is stored, see [IsStored].
func (c *Client) Obtain(ctx context.Context, req Request) (pair *keypair.Pair, err error) {
	defer recoverTo(&err, c.log)
	ctx, cancel := context.WithTimeoutCause(ctx, orderTimeout, timeout(c.ca.Name, "ordering", orderTimeout))
	defer cancel()
	s, err := c.session(ctx)
	if err != nil {
		return nil, err
	}
	defer c.done(s)
	j := &job{client: c, session: s, req: req, log: c.log, forced: req.Forced}
	s.transport.ReserveWith(req.Names, j.reserveRequest)
	if j.resumed, err = j.resume(ctx); err == nil {
		pair, err = j.run(ctx)
	}
	if j.resumed && (j.ended(err) || j.stale() && inconclusive(err)) { // the cause may be older than this run
		j.log.Info("resumed order failed, starting over", "ca", c.ca.Name, "order", j.url, "err", err)
		j.resumed, j.known, j.issuing, j.forced = false, false, false, req.Forced
		pair, err = j.run(ctx)
	}
	if j.ended(err) {
		j.forget()
	}
	return pair, err
}

// ended reports whether err ends the order. A finalized order has a certificate
// or will have one: it ends only if the CA calls it invalid, if the certificate is
// a wrong one, or after a day.
func (j *job) ended(err error) bool {
	if !final(err) {
		return false
	}
	if errors.Is(err, errWrongCertificate) || !j.issuing || j.stale() {
		return true
	}
	return j.order.Status == legoacme.StatusInvalid
}

// forget removes the saved order.
func (j *job) forget() {
	if err := j.req.Pending.Clear(); err != nil {
		j.log.Warn("order not forgotten", "cert", j.req.Target, "err", err)
	}
}

// placeOrder places an order.
func (j *job) placeOrder(ctx context.Context) error {
	j.step("ordering at %s", j.client.ca.Name)
	if err := j.checkProfile(); err != nil {
		return err
	}
	replaces := j.req.Replaces
	if j.session.core.GetDirectory().RenewalInfo == "" {
		replaces = "" // RFC 9773, section 5
	}
	order, err := j.sendNewOrder(ctx, replaces)
	if replaces != "" && mayBeReplaces(err) {
		j.log.Warn("replaces refused, ordering without", "ca", j.client.ca.Name, "err", err)
		order, err = j.sendNewOrder(ctx, "") // RFC 9773, section 5
	}
	if err != nil {
		return err
	}
	j.known = true
	j.url, j.order, j.key, j.begun = order.Location, order.Order, nil, time.Now().UTC().Truncate(time.Second)
	if j.url == "" {
		return j.protocolError("it gave no order url")
	}
	if !j.client.server.Serves(j.url) {
		return &ProtocolError{
			CA: j.client.ca.Name, Kind: transport.OtherHost,
			Err: fmt.Errorf("the order is at %s, %w", textfmt.OneLine(j.url, maxDetail), answer.ErrOtherHost),
		}
	}
	j.log.Info("ordered", "ca", j.client.ca.Name, "order", j.url, "names", j.req.Names)
	return nil
}

// checkProfile returns an error if the CA does not have the profile of the order:
// many CAs ignore a profile that they do not know.
func (j *job) checkProfile() error {
	known := j.session.core.GetDirectory().Meta.Profiles
	if _, ok := known[j.req.Profile]; ok || j.req.Profile == "" {
		return nil
	}
	p := &Problem{CA: j.client.ca.Name, Type: "invalidProfile", Detail: fmt.Sprintf("the CA has no profile %q", j.req.Profile)}
	if len(known) == 0 {
		return problem.Wrap(p, "remove profile: this CA has none")
	}
	return problem.Wrap(p, "set profile to one of: "+textfmt.OneLine(strings.Join(slices.Sorted(maps.Keys(known)), " "), maxDetail))
}

// mayBeReplaces reports whether the replaces field may be the reason why an order
// was refused. CAs use different problem types for that; Pebble answers
// serverInternal if it does not know the certificate.
func mayBeReplaces(err error) bool {
	var p *Problem
	if !errors.As(err, &p) || p.Limited() {
		return false
	}
	return !CAWide(err) || p.Status == http.StatusInternalServerError && p.Type == "serverInternal"
}

// sendNewOrder sends the request, twice at most. An answer that cannot be read says
// that an order was placed: another request would place another one.
func (j *job) sendNewOrder(ctx context.Context, replaces string) (legoacme.ExtendedOrder, error) {
	return again(ctx, orderTries, func() (legoacme.ExtendedOrder, error) {
		j.noted = false // each try may reach the CA
		order, err := once(ctx, j.session, func() (legoacme.ExtendedOrder, error) {
			return j.session.core.Orders.NewWithOptions(j.req.Names, &api.OrderOptions{
				Profile: j.req.Profile, ReplacesCertID: replaces,
			})
		})
		if a, ok := errors.AsType[*ProtocolError](err); ok && a.Kind == transport.Malformed {
			a.Kind = transport.Wrong
		}
		return order, err
	})
}

// reserveRequest adds the request that is about to be sent, if it is permitted, to the
// order log. A newOrder request that is repeated with a new nonce is added once.
func (j *job) reserveRequest(ctx context.Context, kind orderlog.Kind) error {
	if err := j.client.permit(); err != nil {
		return err
	}
	if err := j.noteRequest(ctx, kind); err != nil {
		return err
	}
	return j.client.permit() // noting it may take a while
}

func (j *job) noteRequest(ctx context.Context, kind orderlog.Kind) error {
	r := orderlog.Request{Target: j.req.Target, Names: j.req.Names, Force: j.forced}
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

// statusTimeout bounds each wait for an object at the CA to change its status.
const statusTimeout = 5 * time.Minute

// run places the order unless it is resumed, and takes it from any status to a
// checked pair (RFC 8555, section 7.1.6).
func (j *job) run(ctx context.Context) (*keypair.Pair, error) {
	if !j.resumed {
		if err := j.saveUnplaced(); err != nil {
			return nil, fmt.Errorf("keeping the order: %w", err)
		}
		if err := j.placeOrder(ctx); err != nil {
			j.forget()
			return nil, fmt.Errorf("ordering: %w", err)
		}
	}
	if err := j.prepare(ctx); err != nil {
		return nil, err
	}
	waiting := pace{time.Now()}
	finalized := 0
	for {
		var err error
		switch j.order.Status {
		case legoacme.StatusPending:
			err = j.wait(ctx, waiting, "making the order ready")
		case legoacme.StatusReady:
			j.step("finalizing")
			finalized++
			err = j.finalize(ctx, finalized)
			waiting = pace{time.Now()}
		case legoacme.StatusProcessing:
			j.issuing = true
			err = j.wait(ctx, waiting, "issuing")
		case legoacme.StatusValid:
			j.issuing = true
			if j.order.Certificate != "" {
				return j.fetchCertificate(ctx)
			}
			err = j.wait(ctx, waiting, "naming the certificate of a valid order")
		case legoacme.StatusInvalid:
			err = refusal.New(j.client.ca.Name, j.order.Error, transport.Answer{})
		default:
			err = j.protocolError("the order has the unknown status %q", textfmt.OneLine(j.order.Status, 32))
		}
		if err != nil {
			return nil, err
		}
	}
}

// prepare authorizes the names and makes the key at the same time, since RSA keys
// take long. Nothing is published before the order is saved; after prepare the
// key is saved too, and the order can be finalized.
func (j *job) prepare(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	j.onDisk = make(chan struct{})
	var saveErr error
	var saving sync.WaitGroup
	saving.Go(func() {
		if saveErr = j.saveOrder(ctx); saveErr != nil {
			saveErr = fmt.Errorf("keeping the order: %w", saveErr)
			cancel(saveErr)
		}
	})
	err := j.authorize(ctx)
	if err != nil {
		cancel(err)
	}
	saving.Wait()
	if err == nil {
		err = saveErr
	}
	return err
}

// saveUnplaced saves the order before it is placed: one that cannot be saved would be
// lost.
func (j *job) saveUnplaced() error {
	j.url, j.begun = "", time.Time{}
	return j.pendingOrder().save(j.req.Pending)
}

// pendingOrder returns the order as it is saved, without its key.
func (j *job) pendingOrder() pendingOrder {
	return pendingOrder{
		CA: j.client.ca.Name, Directory: j.client.ca.Directory, Account: j.session.account.url,
		URL: j.url, Names: j.req.Names, KeyType: j.req.KeyType, Profile: j.req.Profile,
		Begun: j.begun, Forced: j.forced, Had: leafSum(j.req.Current),
	}
}

// saveOrder saves the order's URL and key. The order is not finalized before: no
// certificate is issued that could not be fetched and used.
func (j *job) saveOrder(ctx context.Context) (err error) {
	defer recoverTo(&err, j.log)
	saved := sync.OnceFunc(func() { close(j.onDisk) })
	if j.key != nil { // resumed
		saved()
		return nil
	}
	o := j.pendingOrder()
	key := j.req.Key
	if key == nil && slowToMake(o.KeyType) {
		if err := o.save(j.req.Pending); err != nil {
			return err
		}
		saved()
	}
	if key == nil {
		if key, err = keypair.NewKey(ctx, o.KeyType); err != nil {
			return err
		}
	}
	data, err := keypair.MarshalKey(key)
	if err != nil {
		return err
	}
	j.key, o.Key = key, string(data)
	err = o.save(j.req.Pending)
	if err == nil {
		saved()
	}
	return err
}

// slowToMake reports whether generating a key can take seconds.
func slowToMake(keyType string) bool { return strings.HasPrefix(keyType, "rsa") }

// authorize authorizes the names of a pending order. CAs make the order ready
// with the last name; asking for its status would cost a request.
func (j *job) authorize(ctx context.Context) error {
	if j.order.Status != legoacme.StatusPending {
		return nil
	}
	if err := j.authorizeNames(ctx); err != nil {
		return err
	}
	j.order.Status = legoacme.StatusReady
	return nil
}

// wait waits as long as the CA asks, and fetches the order again.
func (j *job) wait(ctx context.Context, p pace, what string) error {
	now := time.Now()
	if now.Sub(p.since) > statusTimeout {
		return timeout(j.client.ca.Name, what, statusTimeout)
	}
	if err := sleep(ctx, p.next(now, j.session.transport.Answer(j.url))); err != nil {
		return err
	}
	return j.fetchAgain(ctx, what)
}

// fetchAgain fetches the order. A transient error leaves it as it was, for a while.
func (j *job) fetchAgain(ctx context.Context, what string) error {
	if j.heard.IsZero() {
		j.heard = time.Now()
	}
	err := j.fetchOrder(ctx, 1)
	if transient(err) {
		return j.unanswered(what, j.heard, err)
	}
	j.heard = time.Now()
	return err
}

// unanswered returns the error for a CA that was heard last at a time, and err since;
// nil if it may still come back. The order is kept, and resumed later.
func (j *job) unanswered(what string, heard time.Time, err error) error {
	if silent := time.Since(heard); silent >= j.client.patience {
		return fmt.Errorf("%s: not answered for %s: %w", what, silent.Round(time.Second), err)
	}
	return nil
}

// step reports the current step.
func (j *job) step(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	j.log.Debug("step", "step", text)
	if j.req.Step != nil {
		j.req.Step(text)
	}
}

// protocolError returns the error of an answer that RFC 8555 does not allow.
func (j *job) protocolError(format string, args ...any) error {
	return &ProtocolError{CA: j.client.ca.Name, Err: fmt.Errorf(format, args...)}
}
