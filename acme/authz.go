package acme

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	legoacme "github.com/go-acme/lego/v4/acme"
)

// proveAll proves every name of the order, side by side. All are tried even if
// one fails: what the CA finds valid it need not be shown again.
func (j *job) proveAll(ctx context.Context) error {
	urls := j.order.Authorizations
	errs := make([]error, len(urls))
	var wg sync.WaitGroup
	slots := make(chan struct{}, 32)
	for i, url := range urls {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			defer recoverTo(&errs[i], j.log)
			errs[i] = j.prove(ctx, url)
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return firstOf(errs)
}

// An UnprovenError reports that several names could not be proven.
type UnprovenError struct {
	Errs []error
}

func (e *UnprovenError) Error() string {
	return fmt.Sprintf("%v (and %d more names)", e.Errs[0], len(e.Errs)-1)
}

func (e *UnprovenError) Unwrap() []error { return e.Errs }

// Remedy is that of the first.
func (e *UnprovenError) Remedy() string {
	var r interface{ Remedy() string }
	if errors.As(e.Errs[0], &r) {
		return r.Remedy()
	}
	return "correct each name's error, then: keypaird issue"
}

func firstOf(errs []error) error {
	var some []error
	for _, err := range errs {
		if err != nil {
			some = append(some, err)
		}
	}
	switch len(some) {
	case 0:
		return nil
	case 1:
		return some[0]
	}
	return &UnprovenError{some}
}

// prove brings one authorization to valid.
func (j *job) prove(ctx context.Context, url string) error {
	authz, err := j.authorization(ctx, url)
	if err != nil {
		return err
	}
	name := authzName(authz)
	switch authz.Status {
	case legoacme.StatusValid:
		return nil
	case legoacme.StatusPending:
	default:
		return j.refused(name, "", authz)
	}
	proof, ok := j.req.Proofs[name]
	if !ok {
		return &WrongCertificateError{j.client.ca.Name, fmt.Errorf("the CA wants %q proven, which was not ordered", oneLine(name, 253))}
	}
	challenge, err := j.challenge(authz, name, proof.Type)
	if err != nil {
		return err
	}
	c, err := j.describe(url, authz, challenge)
	if err != nil {
		return err
	}
	j.step("proving %s by %s", name, proof.Type)
	err = proof.Prover.Prove(ctx, c, func(ctx context.Context) error {
		return j.validate(ctx, url, name, challenge)
	})
	if err == nil || ctx.Err() != nil {
		return err
	}
	var p *Problem
	if errors.As(err, &p) {
		return err // names the name itself
	}
	return fmt.Errorf("%s: %s: %w", name, proof.Type, err)
}

func (j *job) authorization(ctx context.Context, url string) (legoacme.Authorization, error) {
	return call(ctx, j.session, tries, func() (legoacme.Authorization, error) {
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
		offered = append(offered, oneLine(c.Type, 32))
	}
	return legoacme.Challenge{}, &NotOfferedError{j.client.ca.Name, name, kind, offered}
}

// describe makes a Challenge of what the CA sent. Tokens end up in file names
// and URLs, so they are held to their alphabet (RFC 8555, section 8.1).
func (j *job) describe(url string, a legoacme.Authorization, lc legoacme.Challenge) (Challenge, error) {
	c := Challenge{
		Type: lc.Type, Identifier: a.Identifier.Value, Wildcard: a.Wildcard,
		Token: lc.Token, AccountURL: j.client.accountURL(),
	}
	if lc.Type == DNSPersist01 {
		c.Issuers = issuers(j.session.guard.answer(url).body, lc.URL)
		return c, nil
	}
	if !IsToken(c.Token) {
		return c, &UnreachableError{j.client.ca.Name, j.client.ca.Directory, errors.New("the CA sent a malformed token")}
	}
	var err error
	c.KeyAuth, err = j.session.core.GetKeyAuthorization(c.Token)
	return c, err
}

// issuers reads the issuer domain names of a dns-persist-01 challenge, which
// lego does not know.
func issuers(authz []byte, challengeURL string) []string {
	var a struct {
		Challenges []struct {
			URL     string   `json:"url"`
			Issuers []string `json:"issuer-domain-names"`
		} `json:"challenges"`
	}
	if json.Unmarshal(authz, &a) != nil {
		return nil
	}
	for _, c := range a.Challenges {
		if c.URL == challengeURL {
			return c.Issuers
		}
	}
	return nil
}

// validate asks the CA to look at the published response and waits for its
// verdict.
func (j *job) validate(ctx context.Context, url, name string, challenge legoacme.Challenge) error {
	waiting := pace{time.Now()}
	_, err := call(ctx, j.session, tries, func() (legoacme.ExtendedChallenge, error) {
		return j.session.core.Challenges.New(challenge.URL)
	})
	var p *Problem
	if err != nil && !transient(err) && !(errors.As(err, &p) && p.Type == "malformed") {
		return err // malformed: a challenge answered before we were killed; the authorization tells
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
		if transient(err) {
			asked = answer{}
			continue
		}
		if err != nil {
			return err
		}
		if authz.Status == legoacme.StatusValid {
			return nil
		}
		if authz.Status != legoacme.StatusPending {
			return j.refused(name, challenge.Type, authz)
		}
		asked = j.session.guard.answer(url)
	}
}

// refused is the CA's verdict against a name.
func (j *job) refused(name, kind string, authz legoacme.Authorization) error {
	for _, c := range authz.Challenges {
		if c.Error != nil {
			p := j.client.problem(c.Error, answer{})
			p.Identifier, p.Challenge = name, oneLine(c.Type, 32)
			return p
		}
	}
	return &Problem{
		CA: j.client.ca.Name, Type: "unauthorized", Identifier: name, Challenge: kind,
		Detail: "the authorization is " + oneLine(authz.Status, 32),
	}
}
