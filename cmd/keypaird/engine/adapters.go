package engine

import (
	"context"
	"crypto/x509"
	"errors"
	"path/filepath"
	"sync"
	"time"

	"keypaird/acme"
	"keypaird/acme/ari"
	"keypaird/acme/dns01"
	"keypaird/acme/orderlog"
	"keypaird/hooks/command"
	"keypaird/renew"
	"keypaird/renew/keypair"
	"keypaird/renew/notify"
	"keypaird/renew/renewalinfo"
	"keypaird/renew/rollover"
)

// An issuer is a CA as one target uses it. It implements renew.Issuer,
// renew.RenewalInfoFetcher and issuer.Warmer.
type issuer struct {
	name    string
	warm    func() // starts the listener if an order needs it
	client  func() (*acme.Client, error)
	opening *opening // of the CA
	log     acme.OrderLog
	request acme.Request // what is the same for all orders; without Methods
	methods func() map[string]acme.Method
	orders  orders // of the target that are not finished

	accounts []*dns01.Account // that solve its challenges
}

// String returns the name of the CA.
func (i *issuer) String() string { return i.name }

// Warm starts the listener, connects to the CA, and registers the account if there is none.
func (i *issuer) Warm(ctx context.Context) {
	go i.warm()
	_ = i.opening.begin(ctx, func() error {
		client, err := i.client()
		if err == nil {
			_, err = client.Account(ctx)
		}
		if err == nil {
			_, err = client.Info(ctx)
		}
		return err
	})
}

// An opening is the request of a pass to a CA that is made before its orders need the
// answer: the first order makes it, the others wait.
type opening struct {
	mu  sync.Mutex
	ctx context.Context // of the pass
	ask func() error    // nil: nothing is; else it waits for the answer
}

// begin calls ask, unless a call was begun in this pass: it waits for that.
func (o *opening) begin(ctx context.Context, ask func() error) error {
	o.mu.Lock()
	if o.ask == nil || o.ctx.Err() != nil {
		o.ctx, o.ask = ctx, sync.OnceValue(ask)
	}
	ask = o.ask
	o.mu.Unlock()
	return ask()
}

// failure waits for a call that was begun in this pass, and returns its error, once.
func (o *opening) failure() error {
	o.mu.Lock()
	ask := o.ask
	known := ask != nil && o.ctx.Err() == nil
	o.mu.Unlock()
	if !known {
		return nil
	}
	err := ask()
	if err != nil {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.ask = func() error { return nil }
	}
	return err
}

// Obtain orders a certificate.
func (i *issuer) Obtain(ctx context.Context, o renew.Order) (*keypair.Pair, error) {
	client, err := i.client()
	if err != nil {
		return nil, err
	}
	req := i.request
	req.Methods = i.methods()
	req.KeyType, req.Key, req.Current, req.Foreign, req.Forced, req.Step = o.KeyType, o.Key, o.Have, o.Foreign, o.Forced, o.Step
	req.NewKey = o.NewKey
	if o.Replaces {
		req.Replaces, _ = ari.CertID(o.Have) // one without an identifier is replaced without saying so
	}
	release, err := i.hold(ctx)
	if err != nil {
		return nil, orderError(err)
	}
	defer release()
	if err := i.opening.failure(); err != nil {
		return nil, orderError(err)
	}
	pair, err := client.Obtain(ctx, req)
	if err != nil {
		return nil, orderError(err)
	}
	return pair, nil
}

// orderError returns an error of Obtain with the facts that decide where and when the order
// is tried again.
func orderError(err error) *renew.OrderError {
	_, unreachable := errors.AsType[*acme.UnreachableError](err)
	return &renew.OrderError{
		TryNextCA: acme.TryNextCA(err), CAWide: acme.CAWide(err), Here: unreachable || errors.Is(err, dns01.ErrAccount),
		Held: errors.Is(err, acme.ErrNotPermitted), Err: err,
	}
}

// hold opens the DNS accounts before an order. One that is under way may not need them.
func (i *issuer) hold(ctx context.Context) (release func(), err error) {
	var held []func()
	release = func() {
		for _, f := range held {
			f()
		}
	}
	if order, err := i.request.Pending.Load(); err == nil && order != nil {
		return release, nil
	}
	for _, a := range i.accounts {
		f, err := a.Hold(ctx)
		if err != nil {
			release()
			return nil, err
		}
		held = append(held, f)
	}
	return release, nil
}

// Forget removes the order that ended in the certificate stored, and those that
// were begun at other CAs on the way there.
func (i *issuer) Forget(stored *x509.Certificate) (bool, error) {
	found, err := acme.IsStored(i.request.Pending, stored)
	if found && err == nil {
		err = i.orders.clear()
	}
	return found, err
}

// Limit returns the limit of the order log.
func (i *issuer) Limit(current *x509.Certificate) renew.Limit {
	err := acme.OwnLimit(i.log, i.request.Pending, orderlog.Request{Target: i.request.Target, Names: i.request.Names, Current: current})
	if reached, ok := errors.AsType[*orderlog.RateLimitError](err); ok {
		return renew.Limit{Until: reached.Next, Err: reached}
	}
	return renew.Limit{}
}

// noRenewalInfo is how long a CA without renewal information is not asked again.
const noRenewalInfo = 24 * time.Hour

// RenewalInfo asks the CA.
func (i *issuer) RenewalInfo(ctx context.Context, leaf *x509.Certificate) (renewalinfo.SuggestedWindow, error) {
	client, err := i.client()
	if err != nil {
		return renewalinfo.SuggestedWindow{}, err
	}
	info, err := client.RenewalInfo(ctx, leaf)
	if errors.Is(err, acme.ErrNoRenewalInfo) {
		return renewalinfo.SuggestedWindow{Next: time.Now().Add(noRenewalInfo)}, nil
	}
	return renewalinfo.SuggestedWindow{Start: info.Start, End: info.End, Explanation: info.Explanation, Next: info.Next}, err
}

// A resolver queries the TLSA records of one target. It implements renew.Resolver.
type resolver map[string]dns01.Checker // by name of the records

// tlsaTimeout bounds the queries for one name.
const tlsaTimeout = 20 * time.Second

var errTLSATimeout = errors.New("the name servers do not answer in time")

// TLSA queries the records at name.
func (r resolver) TLSA(ctx context.Context, name string) (rollover.RecordSet, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, tlsaTimeout, errTLSATimeout)
	defer cancel()
	checker := r[name]
	set, err := checker.TLSA(ctx, name)
	return rollover.RecordSet{Records: set.Records, Partly: set.Partly, TTL: set.TTL, Secure: set.Secure}, err
}

// notifyTimeout bounds one call of the [notify] command.
const notifyTimeout = time.Minute

// Send implements notify.Sender.
func (e *Engine) Send(ctx context.Context, notices []notify.Notice) error {
	ev := command.Event{Kind: string(notices[0].Kind), Error: notices[0].Error, Remedy: notices[0].Remedy}
	if n := notices[0]; len(notices) == 1 {
		ev.Name, ev.Fingerprint, ev.NotAfter = n.Target, n.Fingerprint, n.NotAfter
		if n.Version != "" {
			ev.Dir = filepath.Join(e.Store.Dir(n.Target), n.Version)
		}
	}
	program := command.Command{Argv: e.Config.Notify.Command, Timeout: notifyTimeout, Log: e.options.Log}
	var errs []error
	for length := 0; len(notices) > 0; notices = notices[len(ev.Names):] {
		ev.Names, length = nil, 0
		for _, n := range notices {
			if length += len(n.Target) + 1; length > command.MaxNames { // then in one more call
				break
			}
			ev.Names = append(ev.Names, n.Target)
		}
		errs = append(errs, program.Run(ctx, ev))
	}
	return errors.Join(errs...)
}
