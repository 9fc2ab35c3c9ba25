package acme

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"keypaird/renew/textfmt"

	legoacme "github.com/go-acme/lego/v4/acme"
)

// maxAsking is how many names the CA is asked about at once.
const maxAsking = 32

// proveAll proves every name of the order, side by side: all responses are
// published and seen before the CA is asked to look at any, since its resolver
// may cache what it sees. All are tried even if one fails: what the CA finds
// valid it need not be shown again.
func (j *job) proveAll(ctx context.Context) error {
	urls := j.order.Authorizations
	if len(urls) == 0 || len(urls) > len(j.req.Names) {
		return j.nonsense("the order has %d authorizations for %d names", len(urls), len(j.req.Names))
	}
	errs := make([]error, len(urls))
	var wg sync.WaitGroup
	together := newTogether(len(urls))
	for i, url := range urls {
		wg.Go(func() {
			defer together.set(i, ended)
			defer recoverTo(&errs[i], j.log)
			errs[i] = j.prove(ctx, url, turn{together, i})
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return firstOf(errs)
}

// prove brings one authorization to valid.
func (j *job) prove(ctx context.Context, url string, t turn) error {
	var authz legoacme.Authorization
	err := t.asking(ctx, func() (err error) {
		authz, err = j.authorization(ctx, url)
		return err
	})
	if err != nil {
		return err
	}
	name := authzName(authz)
	proof, ok := j.req.Proofs[name]
	if !ok {
		return j.nonsense("it wants %q proven, which was not ordered", textfmt.OneLine(name, 253))
	}
	if j.resumed && authz.Status != legoacme.StatusPending {
		j.withdraw(ctx, url, name, proof, authz)
	}
	switch authz.Status {
	case legoacme.StatusValid:
		return nil
	case legoacme.StatusPending:
	default:
		return j.refused(name, proof.Type, authz)
	}
	challenge, err := j.challenge(authz, name, proof.Type)
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
	j.step("proving %s by %s", name, proof.Type)
	err = proof.Prover.Prove(ctx, c, func(ctx context.Context) error {
		return t.validate(ctx, func() error { return j.validate(ctx, url, name, challenge) })
	})
	if err == nil || ctx.Err() != nil {
		return err
	}
	var p *Problem
	if errors.As(err, &p) && p.Identifier != "" {
		return err // names the name itself
	}
	return fmt.Errorf("%s: %s: %w", name, proof.Type, err)
}

// withdraw takes back the token that a killed run may have left: publishing the
// same one again, without asking the CA for anything, ends in its removal. DNS
// records need no such care, since the child outlives a killed run.
func (j *job) withdraw(ctx context.Context, url, name string, proof Proof, authz legoacme.Authorization) {
	if proof.Type != HTTP01 {
		return
	}
	lc, err := j.challenge(authz, name, proof.Type)
	if err != nil {
		return // it was proven in another way
	}
	if c, err := j.describe(url, name, lc); err == nil {
		err = proof.Prover.Prove(ctx, c, func(context.Context) error { return nil })
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
		if proof, ok := j.req.Proofs[authzName(authz)]; ok {
			j.withdraw(ctx, url, authzName(authz), proof, authz)
		}
	}
}

func (j *job) authorization(ctx context.Context, url string) (legoacme.Authorization, error) {
	j.session.guard.is(url, resAuthz)
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

// challenge picks the challenge of the configured type. Types we do not know
// are passed over.
func (j *job) challenge(a legoacme.Authorization, name, kind string) (legoacme.Challenge, error) {
	var offered []string
	for _, c := range a.Challenges {
		if c.Type == kind {
			return c, nil
		}
		offered = append(offered, textfmt.OneLine(c.Type, 32))
	}
	return legoacme.Challenge{}, &NotOfferedError{j.client.ca.Name, name, kind, offered}
}

// describe makes a Challenge of what the CA sent. Tokens end up in file names
// and URLs, so they are held to their alphabet (RFC 8555, section 8.1).
func (j *job) describe(url, name string, lc legoacme.Challenge) (Challenge, error) {
	identifier, wildcard := strings.CutPrefix(name, "*.")
	c := Challenge{
		Type: lc.Type, Identifier: identifier, Wildcard: wildcard,
		Token: lc.Token, AccountURL: j.session.account.url,
	}
	if lc.Type == DNSPersist01 {
		c.Token, c.Issuers = "", issuers(j.session.guard.answer(url).body, lc.URL)
		return c, nil
	}
	if !IsToken(c.Token) {
		return c, j.nonsense("it sent a malformed token")
	}
	var err error
	c.KeyAuth, err = j.session.core.GetKeyAuthorization(c.Token)
	return c, err
}

// validate asks the CA to look at the published response and waits for its
// verdict.
func (j *job) validate(ctx context.Context, url, name string, challenge legoacme.Challenge) error {
	waiting := pace{time.Now()}
	j.session.guard.is(challenge.URL, resChallenge)
	_, err := ask(ctx, j, tries, func() (legoacme.ExtendedChallenge, error) {
		return j.session.core.Challenges.New(challenge.URL)
	})
	// malformed: perhaps a challenge answered before we were killed, which the
	// authorization tells.
	var again *Problem
	if err != nil && !transient(err) && !(errors.As(err, &again) && again.Type == "malformed") {
		return err
	}
	asked := j.session.guard.answer(challenge.URL)
	for {
		now := time.Now()
		if now.Sub(waiting.since) > verdictTimeout {
			return &TimeoutError{j.client.ca.Name, "validating " + name, verdictTimeout}
		}
		if err := sleep(ctx, waiting.next(now, asked)); err != nil {
			return err
		}
		authz, err := j.authorization(ctx, url)
		asked = j.session.guard.answer(url)
		switch {
		case transient(err):
			continue // still the CA's turn
		case err != nil:
			return err
		case authz.Status == legoacme.StatusValid:
			return nil
		case authz.Status != legoacme.StatusPending:
			return j.refused(name, challenge.Type, authz)
		case again != nil && untouched(authz, challenge.URL):
			return again
		}
	}
}

// untouched reports whether the CA has not begun to look at a challenge.
func untouched(a legoacme.Authorization, challengeURL string) bool {
	for _, c := range a.Challenges {
		if c.URL == challengeURL {
			return c.Status == legoacme.StatusPending
		}
	}
	return false
}

// refused is the CA's verdict against a name.
func (j *job) refused(name, kind string, authz legoacme.Authorization) error {
	for _, c := range authz.Challenges {
		if c.Error != nil {
			p := j.client.problem(c.Error, answer{})
			p.Identifier, p.Challenge = name, textfmt.OneLine(c.Type, 32)
			return p
		}
	}
	return &Problem{
		CA: j.client.ca.Name, Type: "unauthorized", Identifier: name, Challenge: kind,
		Detail: "the authorization is " + textfmt.OneLine(authz.Status, 32),
	}
}
