package acme

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"

	legoacme "github.com/go-acme/lego/v4/acme"

	"keypaird/renew/textfmt"
)

// maxAsking is how many names the CA is asked about at once.
const maxAsking = 32

// authorizeNames proves every name of the order, side by side: all responses are
// published and seen before the CA is asked to look at any, since its resolver
// may cache what it sees. All are tried even if one fails: what the CA finds
// valid it need not be shown again.
func (j *job) authorizeNames(ctx context.Context) error {
	urls := j.order.Authorizations
	if len(urls) == 0 || len(urls) > len(j.req.Names) {
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
	return firstOf(errs)
}

// authorizeName brings one authorization to valid.
func (j *job) authorizeName(ctx context.Context, url string, t slot) error {
	var authz legoacme.Authorization
	err := t.asking(ctx, func() (err error) {
		authz, err = j.authorization(ctx, url)
		return err
	})
	if err != nil {
		return err
	}
	name := authzName(authz)
	method, ok := j.req.Methods[name]
	if !ok {
		return j.protocolError("it wants %q proven, which was not ordered", textfmt.OneLine(name, 253))
	}
	if j.resumed && authz.Status != legoacme.StatusPending {
		j.withdraw(ctx, url, name, method, authz)
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
	case <-j.onDisk: // from here on a killed run leaves traces, which the next one finds by the order
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	c.Queued = t.queued
	j.step("proving %s by %s", name, method.Type)
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

// withdraw takes back the token that a killed run may have left: publishing the
// same one again, without asking the CA for anything, ends in its removal. DNS
// records need no such care, since the child outlives a killed run.
func (j *job) withdraw(ctx context.Context, url, name string, method Method, authz legoacme.Authorization) {
	if method.Type != HTTP01 {
		return
	}
	lc, err := j.challenge(authz, name, method.Type)
	if err != nil {
		return // it was proven in another way
	}
	if c, err := j.describe(url, name, lc); err == nil {
		err = method.Solver.Solve(ctx, c, func(context.Context) error { return nil })
		j.log.Debug("token withdrawn", "name", name, "err", err)
	}
}

// withdrawAll does so for an order that has no name left to prove.
func (j *job) withdrawAll(ctx context.Context) {
	for _, url := range j.order.Authorizations[:min(len(j.order.Authorizations), len(j.req.Names))] {
		authz, err := j.authorization(ctx, url)
		if err != nil {
			return // a token that stays is swept a day later
		}
		if method, ok := j.req.Methods[authzName(authz)]; ok {
			j.withdraw(ctx, url, authzName(authz), method, authz)
		}
	}
}

func (j *job) authorization(ctx context.Context, url string) (legoacme.Authorization, error) {
	j.session.transport.label(url, resAuthz)
	return ask(ctx, j, tries, func() (legoacme.Authorization, error) {
		return j.session.core.Authorizations.Get(url)
	})
}

// authzName is the name as it was ordered.
func authzName(a legoacme.Authorization) string {
	if ip := net.ParseIP(a.Identifier.Value); ip != nil {
		return ip.String()
	}
	if a.Wildcard {
		return "*." + a.Identifier.Value
	}
	return a.Identifier.Value
}

// refused is the CA's verdict against a name.
func (j *job) refused(name, kind string, authz legoacme.Authorization) error {
	for _, c := range authz.Challenges {
		if c.Error != nil {
			p := newProblem(j.client.ca.Name, c.Error, answer{})
			p.Identifier, p.Challenge = name, textfmt.OneLine(c.Type, 32)
			return p
		}
	}
	return &Problem{
		CA: j.client.ca.Name, Type: "unauthorized", Identifier: name, Challenge: kind,
		Detail: "the authorization is " + textfmt.OneLine(authz.Status, 32),
	}
}

// together keeps the proofs of one order in step: none is validated while
// another is being published, and none is removed while another is validated.
// One that is queued behind another challenge at the same place is not waited
// for. So each proof that is waited for can go on by itself.
type barrier struct {
	asks chan struct{} // holds a value for each proof that asks the CA

	mu      sync.Mutex
	stages  []stage
	changed chan struct{} // closed when a stage does
}

// A stage is how far a proof has come.
type stage int

const (
	publishing stage = iota // until it is seen
	queued                  // until another challenge is removed
	published
	ended // by a verdict or an error
)

func newBarrier(proofs int) *barrier {
	return &barrier{
		asks: make(chan struct{}, maxAsking), stages: make([]stage, proofs), changed: make(chan struct{}),
	}
}

func (g *barrier) set(i int, s stage) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stages[i] == ended {
		return
	}
	g.stages[i] = s
	close(g.changed)
	g.changed = make(chan struct{})
}

// await waits until no proof is in one of the stages.
func (g *barrier) await(ctx context.Context, stages ...stage) error {
	for {
		g.mu.Lock()
		busy := slices.ContainsFunc(g.stages, func(s stage) bool { return slices.Contains(stages, s) })
		changed := g.changed
		g.mu.Unlock()
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

// A turn is one proof of those.
type slot struct {
	all *barrier
	i   int
}

// asking calls f while few enough others ask the CA.
func (t slot) asking(ctx context.Context, f func() error) error {
	select {
	case t.all.asks <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-t.all.asks }()
	return f()
}

// queued is for Challenge.Queued.
func (t slot) queued(waits bool) {
	if waits {
		t.all.set(t.i, queued)
	} else {
		t.all.set(t.i, publishing)
	}
}

// validate calls f, which validates the proof, once all are published, and
// returns when all of them may be removed.
func (t slot) validate(ctx context.Context, f func() error) error {
	t.all.set(t.i, published)
	if err := t.all.await(ctx, publishing); err != nil {
		return err
	}
	err := t.asking(ctx, f)
	t.all.set(t.i, ended)
	if ctx.Err() == nil {
		_ = t.all.await(ctx, published) // an end of ctx is no verdict on this proof
	}
	return err
}
