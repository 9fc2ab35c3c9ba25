package acme

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	legoacme "github.com/go-acme/lego/v4/acme"

	"keypaird/renew/keypair"
	"keypaird/renew/textfmt"
)

// verdictTimeout bounds each wait for the CA to come to an end with something.
const verdictTimeout = 5 * time.Minute

// drive takes the order from whatever state it is in to a checked pair (RFC
// 8555, section 7.1.6). One that is not resumed is placed first.
func (j *job) drive(ctx context.Context) (*keypair.Pair, error) {
	if !j.resumed {
		if err := j.reserve(); err != nil {
			return nil, fmt.Errorf("keeping the order: %w", err)
		}
		if err := j.begin(ctx); err != nil {
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
				return j.fetch(ctx)
			}
			err = j.wait(ctx, waiting, "naming the certificate of a valid order")
		case legoacme.StatusInvalid:
			err = j.invalid()
		default:
			err = j.nonsense("the order has the unknown status %q", textfmt.OneLine(j.order.Status, 32))
		}
		if err != nil {
			return nil, err
		}
	}
}

// prepare proves the names and, at the same time, makes the key: RSA keys take
// long. Nothing is published before the order is on disk; after prepare the key
// is there too, and the order can be finalized.
func (j *job) prepare(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	j.onDisk = make(chan struct{})
	var unkept error
	var keeping sync.WaitGroup
	keeping.Go(func() {
		if unkept = j.keepSafely(ctx); unkept != nil {
			unkept = fmt.Errorf("keeping the order: %w", unkept)
			cancel(unkept)
		}
	})
	err := j.proven(ctx)
	if err != nil {
		cancel(err)
	}
	keeping.Wait()
	if err == nil {
		err = unkept
	}
	return err
}

func (j *job) keepSafely(ctx context.Context) (err error) {
	defer recoverTo(&err, j.log)
	return j.keep(ctx)
}

// reserve writes what will be kept of the order before there is one: where that
// cannot be done now, the order would be lost.
func (j *job) reserve() error {
	j.url, j.begun = "", time.Time{}
	return j.pending.reserve(j.underWay())
}

// underWay is what is kept of the order, but for its key.
func (j *job) underWay() pendingOrder {
	return pendingOrder{
		CA: j.client.ca.Name, Directory: j.client.ca.Directory, Account: j.session.account.url,
		URL: j.url, Names: j.req.Names, KeyType: j.req.KeyType, Profile: j.req.Profile,
		Begun: j.begun, Forced: j.forced, Had: leafSum(j.req.Current),
	}
}

// keep has the order's URL and key on disk. The order is not finalized before:
// no certificate is issued that we could not fetch and use.
func (j *job) keep(ctx context.Context) error {
	saved := sync.OnceFunc(func() { close(j.onDisk) })
	if j.key != nil { // resumed
		saved()
		return nil
	}
	o := j.underWay()
	key := j.req.Key
	if key == nil && slowToMake(o.KeyType) {
		if err := j.pending.save(o); err != nil {
			return err
		}
		saved()
	}
	if key == nil {
		var err error
		if key, err = keypair.NewKey(ctx, o.KeyType); err != nil {
			return err
		}
	}
	data, err := keypair.MarshalKey(key)
	if err != nil {
		return err
	}
	j.key, o.Key = key, string(data)
	err = j.pending.save(o)
	if err == nil {
		saved()
	}
	return err
}

// proven proves the names of an order that waits for it. CAs make the order
// ready when the last name is; asking whether they have would cost a request.
func (j *job) proven(ctx context.Context) error {
	if j.order.Status != legoacme.StatusPending {
		return nil
	}
	if err := j.proveAll(ctx); err != nil {
		return err
	}
	j.order.Status = legoacme.StatusReady
	return nil
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

// finalize sends the request to sign, for the n-th time. If the answer is lost,
// or the CA finds the order not ready after all, its state decides what comes
// next.
func (j *job) finalize(ctx context.Context, n int) error {
	der, err := csr(j.key, j.req.Names)
	if err != nil {
		return fmt.Errorf("making the request to sign: %w", err)
	}
	j.session.guard.is(j.order.Finalize, resFinalize)
	order, err := call(ctx, j.session, 1, func() (legoacme.ExtendedOrder, error) {
		return j.session.core.Orders.UpdateForCSR(j.order.Finalize, der)
	})
	if err == nil {
		j.order = order.Order
		if j.order.Status == legoacme.StatusReady {
			return j.stillReady(ctx, n)
		}
		return nil
	}
	var p *Problem
	var nonsense *AnswerError // the CA may have done it nevertheless
	notReady := errors.As(err, &p) && p.Type == "orderNotReady"
	lags := p != nil && p.Status == http.StatusNotFound
	pause := pauseAfter(err, n)
	if n >= tries || pause > maxOwnPause || !notReady && !lags && !transient(err) && !errors.As(err, &nonsense) {
		return fmt.Errorf("finalizing: %w", err)
	}
	j.log.Debug("finalize unanswered", "err", err)
	if !notReady {
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
	err = j.look(ctx)
	if transient(err) {
		return nil
	}
	return err
}

// finalizeTries is how often a CA is asked that answers each time that the order
// is ready: for about half a minute.
const finalizeTries = 8

// stillReady lets time pass after the n-th request to finalize that changed
// nothing, and looks again.
func (j *job) stillReady(ctx context.Context, n int) error {
	if n >= finalizeTries {
		return &TimeoutError{j.client.ca.Name, fmt.Sprintf("finalizing: after %d requests the order is still ready", n), time.Since(j.asked).Round(time.Second)}
	}
	if n == 1 {
		j.asked = time.Now()
	}
	pause := retryPause << (n - 1)
	if d := time.Until(j.session.guard.answer(j.order.Finalize).retryAfter); d > pause {
		pause = min(d, maxRetryAfter)
	}
	if err := sleep(ctx, pause); err != nil {
		return err
	}
	err := j.look(ctx)
	if transient(err) {
		return nil
	}
	return err
}

// invalid says why the CA gave the order up.
func (j *job) invalid() error {
	if j.order.Error != nil {
		return j.client.problem(j.order.Error, answer{})
	}
	return &Problem{CA: j.client.ca.Name, Type: "orderInvalid", Detail: "the CA gave the order up without a reason"}
}
