package acme

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"keypaird/renew/textfmt"

	legoacme "github.com/go-acme/lego/v4/acme"

	"keypaird/acme/orderlog"
)

// orderLife is how long an order is worth waiting for, if the CA neither ends it
// nor says anything sensible about it.
const orderLife = 24 * time.Hour

// stale reports whether the order is older than that, by whichever clock.
func (j *job) stale() bool {
	return !j.begun.IsZero() && time.Since(j.begun).Abs() > orderLife
}

// OwnLimit returns the limit that Obtain would reach now, the error of log.Limit;
// nil if there is none. dir is the Pending directory: an order under way there is
// resumed, and does not count as another one.
func OwnLimit(log OrderLog, dir string, r orderlog.Request) error {
	o, err := pending{dir}.load()
	if err == nil && o.URL != "" && slices.Equal(o.Names, r.Names) && !o.stored(r.Current) {
		r.Order, r.Force = o.URL, r.Force || o.Forced
	}
	return log.Limit(r)
}

// resume takes up the order under way. It is not worth it when that is for
// something else, or the CA has forgotten it, found it invalid, or does not come
// to an end with it.
func (j *job) resume(ctx context.Context) (bool, error) {
	o, err := j.pending.load()
	if err != nil || !o.matches(j.session, j.req) || o.stored(j.req.Current) {
		return false, err
	}
	j.step("resuming the order at %s", j.client.ca.Name)
	j.url, j.begun = o.URL, o.Begun
	j.known = time.Since(j.begun).Abs() < lagLimit
	err = j.look(ctx)
	if over(err) || isGone(err) || j.stale() && unclear(err) {
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
	j.key = o.useful(j.req, late)
	if status == legoacme.StatusInvalid || open && j.stale() || late && j.key == nil { // nothing can be done with its certificate
		return false, nil
	}
	j.forced = j.forced || o.Forced
	j.log.Info("resumed", "ca", j.client.ca.Name, "order", j.url, "status", textfmt.OneLine(status, 32))
	return true, nil
}

// look fetches the order.
func (j *job) look(ctx context.Context) error {
	j.session.guard.is(j.url, resOrder)
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

// ask is call for a resource of the order. Where the CA has answered for the
// order already, a 404 comes from a replica that lags, and is waited out.
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

// unclear reports whether nobody who knows the order said what is with it.
func unclear(err error) bool {
	var p *Problem
	return transient(err) || errors.As(err, &p) && p.Type == "" && p.Status != 0
}

// isGone reports whether there is nothing at a URL any more. Some CAs have no
// words for it.
func isGone(err error) bool {
	var p *Problem
	return errors.As(err, &p) && (p.Status == http.StatusNotFound || p.Status == http.StatusGone)
}
