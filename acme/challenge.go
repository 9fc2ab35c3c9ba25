package acme

import (
	"context"
	"errors"
	"strings"
	"time"

	legoacme "github.com/go-acme/lego/v4/acme"

	"keypaird/acme/answer"
	"keypaird/acme/refusal"
	"keypaird/acme/transport"
	"keypaird/renew/textfmt"
)

// A Challenge is one challenge of an authorization, ready to be answered.
type Challenge struct {
	Type       string   // HTTP01, TLSALPN01, DNS01 or DNSPersist01
	Identifier string   // the DNS name, without "*.", or the IP address
	Wildcard   bool     // the authorization is for "*." + Identifier
	Token      string   // RFC 8555, section 8.1; base64url characters only
	KeyAuth    string   // key authorization: token, ".", thumbprint of the account key
	Issuers    []string // issuer domain names a dns-persist-01 record may name
	AccountURL string   // the account that ordered
	Order      string   // URL of the order; empty: the CA is not asked

	// Queued is called with true when the challenge begins to wait for the removal
	// of another one, and with false when that wait is over. The other challenges
	// of its order are validated meanwhile, since it may wait for one of them. May
	// be nil.
	Queued func(bool)
}

// Challenge types, in the spelling of the ACME registry.
const (
	HTTP01       = "http-01"
	TLSALPN01    = "tls-alpn-01"
	DNS01        = "dns-01"
	DNSPersist01 = "dns-persist-01"
)

// A Solver solves challenges of one type.
type Solver interface {
	// Solve publishes the response to c, calls validate, which asks the CA to
	// validate it and waits for the result, and removes the response in any case.
	// It is called concurrently for all challenges of an order, and validate
	// returns once all that are published have a result.
	Solve(ctx context.Context, c Challenge, validate func(context.Context) error) error
}

// A Withdrawer is a Solver with responses that stay when the process is killed.
type Withdrawer interface{ Withdraw(c Challenge) }

// IsToken reports whether s is a token: base64url characters, 128 bits or more
// (section 8.1), and so fit to be a file name.
func IsToken(s string) bool {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return len(s) >= 22 && len(s) <= 128 && strings.Trim(s, alphabet) == ""
}

// challenge returns the challenge of the configured type.
func (j *job) challenge(a legoacme.Authorization, name, kind string) (legoacme.Challenge, error) {
	var available []string
	for _, c := range a.Challenges {
		if c.Type == kind {
			return c, nil
		}
		available = append(available, textfmt.OneLine(c.Type, 32))
	}
	return legoacme.Challenge{}, noChallenge(j.client.ca.Name, name, kind, available)
}

// describe returns what the CA sent as a Challenge. Tokens become file names and
// parts of URLs, so their alphabet is enforced (RFC 8555, section 8.1).
func (j *job) describe(url, name string, lc legoacme.Challenge) (Challenge, error) {
	identifier, wildcard := strings.CutPrefix(name, "*.")
	c := Challenge{Type: lc.Type, Identifier: identifier, Wildcard: wildcard, Token: lc.Token,
		AccountURL: j.session.account.url, Order: j.url}
	if lc.Type == DNSPersist01 {
		c.Token, c.Issuers = "", answer.Issuers(j.session.transport.Answer(url).Body, lc.URL)
		return c, nil
	}
	if !IsToken(c.Token) {
		return c, j.protocolError("it sent a malformed token")
	}
	var err error
	c.KeyAuth, err = j.session.core.GetKeyAuthorization(c.Token)
	return c, err
}

// validateTries is how often the CA is asked to validate one challenge that it does
// not give up: a web server or a zone may need some seconds.
const validateTries = 4

// validate asks the CA to validate the published response and waits for the
// result. A CA may report an error and leave the challenge open, until it is asked
// again (RFC 8555, section 8.2).
func (j *job) validate(ctx context.Context, url, name string, challenge legoacme.Challenge) error {
	heard := time.Now()
	denied, lost, err := j.respond(ctx, challenge)
	if err != nil {
		return err
	}
	waiting, requests := pace{time.Now()}, 1
	asked := j.session.transport.Answer(challenge.URL)
	for {
		now := time.Now()
		if now.Sub(waiting.since) > statusTimeout {
			return timeout(j.client.ca.Name, "validating "+name, statusTimeout)
		}
		if err := sleep(ctx, waiting.next(now, asked)); err != nil {
			return err
		}
		var authz legoacme.Authorization
		authz, err = j.authorization(ctx, url, 1)
		asked = j.session.transport.Answer(url)
		switch {
		case transient(err):
			if gone := j.unanswered("validating "+name, heard, err); gone != nil {
				return gone
			}
			continue // the CA is not finished
		case err != nil:
			return err
		case authz.Status == legoacme.StatusValid:
			return nil
		case authz.Status != legoacme.StatusPending:
			return j.refused(name, challenge.Type, authz)
		case denied != nil && untouched(authz, challenge.URL):
			return denied
		}
		heard = time.Now()
		failure := j.failure(name, challenge, authz)
		if failure == nil && !(lost && untouched(authz, challenge.URL)) {
			continue
		}
		if requests++; requests > validateTries && failure != nil {
			return failure
		}
		j.log.Debug("asking to validate again", "name", name, "err", failure)
		if err := sleep(ctx, j.client.pause<<requests); err != nil {
			return err
		}
		if _, lost, err = j.respond(ctx, challenge); err != nil {
			return err
		}
	}
}

// respond asks the CA to validate a challenge. A refusal as malformed, perhaps since a
// killed run has asked already, or a lost request is no error: the authorization shows it.
func (j *job) respond(ctx context.Context, challenge legoacme.Challenge) (denied *Problem, lost bool, err error) {
	j.session.transport.Label(challenge.URL, transport.ResourceChallenge)
	_, err = ask(ctx, j, tries, func() (legoacme.ExtendedChallenge, error) {
		if err := j.client.permit(); err != nil {
			return legoacme.ExtendedChallenge{}, &transport.Error{Err: err, Kind: transport.NotSent}
		}
		return j.session.core.Challenges.New(challenge.URL)
	})
	if p, ok := errors.AsType[*Problem](err); ok && p.Type == "malformed" {
		return p, false, nil
	}
	if lost = transient(err); lost {
		err = nil
	}
	return nil, lost, err
}

// failure returns the error in a challenge that the CA has not given up, or nil.
func (j *job) failure(name string, challenge legoacme.Challenge, a legoacme.Authorization) error {
	for _, c := range a.Challenges {
		if c.URL == challenge.URL && c.Error != nil {
			p := refusal.New(j.client.ca.Name, c.Error, transport.Answer{})
			p.Identifier, p.Challenge, p.Open = name, challenge.Type, true
			return p
		}
	}
	return nil
}

// untouched reports whether the CA has not begun to validate a challenge.
func untouched(a legoacme.Authorization, challengeURL string) bool {
	for _, c := range a.Challenges {
		if c.URL == challengeURL {
			return c.Status == legoacme.StatusPending
		}
	}
	return false
}
