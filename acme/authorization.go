package acme

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"

	legoacme "github.com/go-acme/lego/v4/acme"

	"keypaird/acme/refusal"
	"keypaird/acme/transport"
	"keypaird/renew/textfmt"
)

// maxAsking bounds the requests about names that are under way at the same time.
const maxAsking = 32

// authorizeNames authorizes all names of the order concurrently. All responses
// are published and visible before the CA validates any, since its resolver may
// cache what it finds. A failure does not stop the others: authorizations that
// become valid are reused by the next order.
func (j *job) authorizeNames(ctx context.Context) error {
	urls := j.order.Authorizations
	if len(urls) == 0 {
		return j.protocolError("the order is pending and has no authorizations")
	}
	if len(urls) > len(j.req.Names) {
		return j.protocolError("the order has %d authorizations for %d names", len(urls), len(j.req.Names))
	}
	errs := make([]error, len(urls))
	var wg sync.WaitGroup
	barrier := newBarrier(len(urls))
	for i, url := range urls {
		wg.Go(func() {
			defer barrier.set(i, ended)
			defer recoverTo(&errs[i], j.log)
			errs[i] = j.authorizeName(ctx, url, slot{barrier, i})
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return refusal.JoinNames(errs)
}

// authorizeName brings one authorization to valid.
func (j *job) authorizeName(ctx context.Context, url string, t slot) error {
	var authz legoacme.Authorization
	err := t.limited(ctx, func() (err error) {
		authz, err = j.authorization(ctx, url, tries)
		return err
	})
	if err != nil {
		return err
	}
	name := authzName(authz)
	method, ok := j.req.Methods[name]
	if !ok {
		return j.protocolError("it wants an authorization for %q, which was not ordered", textfmt.OneLine(name, 253))
	}
	if j.resumed && authz.Status != legoacme.StatusPending {
		j.withdraw(url, name, method, authz)
	}
	switch authz.Status {
	case legoacme.StatusValid:
		return nil
	case legoacme.StatusPending:
	default:
		return j.refused(name, method.Type, authz)
	}
	challenge, err := j.challenge(authz, name, method.Type)
	if err != nil {
		return err
	}
	c, err := j.describe(url, name, challenge)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	select {
	case <-j.onDisk: // the next run finds by the order what a killed one leaves published
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	c.Queued = t.queued
	j.step("validating %s by %s", name, method.Type)
	err = method.Solver.Solve(ctx, c, func(ctx context.Context) error {
		return t.validate(ctx, func() error { return j.validate(ctx, url, name, challenge) })
	})
	if err == nil || ctx.Err() != nil {
		return err
	}
	var p *Problem
	if errors.As(err, &p) && p.Identifier != "" {
		return err // names the name itself
	}
	return fmt.Errorf("%s: %s: %w", name, method.Type, err)
}

// withdraw removes the response that a killed run may have left. DNS records are
// removed by the child, which outlives a killed run.
func (j *job) withdraw(url, name string, method Method, authz legoacme.Authorization) {
	solver, ok := method.Solver.(Withdrawer)
	lc, err := j.challenge(authz, name, method.Type)
	if !ok || err != nil { // another challenge was solved
		return
	}
	if c, err := j.describe(url, name, lc); err == nil {
		solver.Withdraw(c)
	}
}

// withdrawAll withdraws the tokens of an order with all names authorized.
func (j *job) withdrawAll(ctx context.Context) {
	for _, url := range j.order.Authorizations[:min(len(j.order.Authorizations), len(j.req.Names))] {
		authz, err := j.authorization(ctx, url, tries)
		if err != nil {
			return // the token is swept a day later
		}
		if method, ok := j.req.Methods[authzName(authz)]; ok {
			j.withdraw(url, authzName(authz), method, authz)
		}
	}
}

func (j *job) authorization(ctx context.Context, url string, n int) (legoacme.Authorization, error) {
	j.session.transport.Label(url, transport.ResourceAuthz)
	return ask(ctx, j, n, func() (legoacme.Authorization, error) {
		return j.session.core.Authorizations.Get(url)
	})
}

// authzName returns the name as it was ordered.
func authzName(a legoacme.Authorization) string {
	if ip := net.ParseIP(a.Identifier.Value); ip != nil {
		return ip.String()
	}
	if a.Wildcard {
		return "*." + a.Identifier.Value
	}
	return a.Identifier.Value
}

// refused returns the error of an authorization that the CA refused.
func (j *job) refused(name, kind string, authz legoacme.Authorization) error {
	for _, c := range authz.Challenges {
		if c.Error != nil {
			p := refusal.New(j.client.ca.Name, c.Error, transport.Answer{})
			p.Identifier, p.Challenge = name, textfmt.OneLine(c.Type, 32)
			return p
		}
	}
	return &Problem{
		CA: j.client.ca.Name, Type: "unauthorized", Identifier: name, Challenge: kind,
		Detail: "the authorization is " + textfmt.OneLine(authz.Status, 32),
	}
}

// A barrier keeps the challenges of one order in step: the CA validates none
// while another is being published, and none is removed while another is being
// validated. No challenge waits for one that is queued behind another challenge
// at the same place, so none waits forever.
type barrier struct {
	asks chan struct{} // holds a value for each request under way

	mu      sync.Mutex
	stages  []stage
	changed chan struct{} // closed when a stage does
}

// A stage is the state of a challenge.
type stage int

const (
	publishing stage = iota // until it is visible
	queued                  // until another challenge is removed
	published
	ended // by a verdict or an error
)

func newBarrier(challenges int) *barrier {
	return &barrier{
		asks: make(chan struct{}, maxAsking), stages: make([]stage, challenges), changed: make(chan struct{}),
	}
}

func (b *barrier) set(i int, s stage) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stages[i] == ended {
		return
	}
	b.stages[i] = s
	close(b.changed)
	b.changed = make(chan struct{})
}

// await waits until no challenge is in one of the stages.
func (b *barrier) await(ctx context.Context, stages ...stage) error {
	for {
		b.mu.Lock()
		busy := slices.ContainsFunc(b.stages, func(s stage) bool { return slices.Contains(stages, s) })
		changed := b.changed
		b.mu.Unlock()
		if !busy {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// A slot is the place of one challenge in a barrier.
type slot struct {
	all *barrier
	i   int
}

// limited calls f when fewer than maxAsking others are being called.
func (t slot) limited(ctx context.Context, f func() error) error {
	select {
	case t.all.asks <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-t.all.asks }()
	return f()
}

// queued implements Challenge.Queued.
func (t slot) queued(waits bool) {
	if waits {
		t.all.set(t.i, queued)
	} else {
		t.all.set(t.i, publishing)
	}
}

// validate calls f, which validates the challenge, once all are published, and
// returns when all of them may be removed.
func (t slot) validate(ctx context.Context, f func() error) error {
	t.all.set(t.i, published)
	if err := t.all.await(ctx, publishing); err != nil {
		return err
	}
	err := t.limited(ctx, f)
	t.all.set(t.i, ended)
	if ctx.Err() == nil {
		_ = t.all.await(ctx, published) // the end of ctx does not fail this challenge
	}
	return err
}
