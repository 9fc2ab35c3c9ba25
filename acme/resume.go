package acme

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	legoacme "github.com/go-acme/lego/v4/acme"

	"keypaird/acme/orderlog"
	"keypaird/acme/transport"
	"keypaird/renew/textfmt"
)

// orderLife is the age at which an order is given up although the CA has not
// ended it.
const (
	orderLife    = 24 * time.Hour
	minOrderLife = 10 * time.Minute
)

// stale reports whether the order is older than orderLife, or than a tenth of the
// life of a short-lived certificate, even if the clock was set back.
func (j *job) stale() bool {
	life := orderLife
	if c := j.req.Current; c != nil {
		life = min(life, max(c.NotAfter.Sub(c.NotBefore)/10, minOrderLife))
	}
	return !j.begun.IsZero() && time.Since(j.begun).Abs() > life
}

// OwnLimit returns the limit that Obtain would reach now, the error of log.Limit;
// nil if there is none. An unfinished order in pending is resumed, and does not count
// as another one.
func OwnLimit(log OrderLog, pending OrderStore, r orderlog.Request) error {
	o, _, err := loadOrder(pending)
	if err == nil && o.URL != "" && slices.Equal(o.Names, r.Names) && !o.stored(r.Current) {
		r.Order, r.Force = o.URL, r.Force || o.Forced
	}
	return log.Limit(r)
}

// resume loads the saved order and its status. It reports false if a new order
// is needed: the saved one is for another certificate, the CA does not know it any
// more or calls it invalid, or it is stale.
func (j *job) resume(ctx context.Context) (bool, error) {
	o, damaged, err := loadOrder(j.req.Pending)
	if damaged {
		j.log.Warn("saved order damaged, placing another", "cert", j.req.Target, "ca", j.client.ca.Name)
	}
	if err != nil || !o.matches(j.session, j.req) || o.stored(j.req.Current) {
		return false, err
	}
	j.step("resuming the order at %s", j.client.ca.Name)
	j.url, j.begun = o.URL, o.Begun
	finalized := j.client.orderLog.Finalized(j.url) // then there may be a certificate
	j.known = finalized || time.Since(j.begun).Abs() < lagLimit
	err = j.fetchOrder(ctx, tries)
	p, _ := errors.AsType[*Problem](err)
	ends := final(err) || p != nil && p.Gone()
	if ends && (!finalized || j.stale()) || j.stale() && inconclusive(err) {
		return false, nil
	}
	if err != nil {
		j.issuing = finalized
		return false, fmt.Errorf("resuming: %w", err)
	}
	if j.order.Status != legoacme.StatusPending {
		j.withdrawAll(ctx)
	}
	status := j.order.Status
	open := status != legoacme.StatusValid
	late := status == legoacme.StatusProcessing || status == legoacme.StatusValid
	j.key = o.usableKey(j.req, late)
	if status == legoacme.StatusInvalid || open && j.stale() || late && j.key == nil { // its certificate could not be used
		return false, nil
	}
	j.forced = j.forced || o.Forced
	j.log.Info("resumed", "ca", j.client.ca.Name, "order", j.url, "status", textfmt.OneLine(status, 32))
	return true, nil
}

// fetchOrder fetches the order.
func (j *job) fetchOrder(ctx context.Context, n int) error {
	j.session.transport.Label(j.url, transport.ResourceOrder)
	order, err := ask(ctx, j, n, func() (legoacme.ExtendedOrder, error) {
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
// already, a 404 or a plain refusal comes from a replica that lags: ask tries again.
func ask[T any](ctx context.Context, j *job, n int, request func() (T, error)) (T, error) {
	waiting := pace{time.Now()}
	for {
		v, err := call(ctx, j.session, n, request)
		now := time.Now()
		p, _ := errors.AsType[*Problem](err)
		if p == nil || !p.Lags() || !j.known || now.Sub(waiting.since) >= lagLimit {
			return v, err
		}
		pause := max(waiting.next(now, transport.Answer{RetryAfter: p.RetryAt}), lagPause)
		if err := sleep(ctx, pause); err != nil {
			return v, err
		}
	}
}

// lagPause is the shortest time between two requests for a missing resource.
const lagPause = 50 * time.Millisecond
