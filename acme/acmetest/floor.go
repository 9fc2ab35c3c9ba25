package acmetest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-acme/lego/v4/acme"
	"github.com/go-acme/lego/v4/acme/api"
	"golang.org/x/sync/errgroup"
)

// poll is the polling interval of the bare loop.
const poll = time.Millisecond

// NewCore registers an account at the CA and returns lego's client for it, with
// 64 idle connections over HTTP/1.1: measured, the fastest way under load.
func NewCore(ca *CA) (*api.Core, error) {
	pool, err := Pool(ca.Roots)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	client := &http.Client{
		Timeout: 30 * time.Second,
		Transport: &http.Transport{
			TLSClientConfig:     &tls.Config{RootCAs: pool},
			MaxIdleConns:        64,
			MaxIdleConnsPerHost: 64,
		},
	}
	core, err := api.New(client, "acmetest", ca.Directory, "", key)
	if err != nil {
		return nil, err
	}
	if _, err := core.Accounts.New(acme.Account{TermsOfServiceAgreed: true}); err != nil {
		return nil, err
	}
	return core, nil
}

// Floor obtains a certificate for each name by http-01 with the least work, as a
// baseline of benchmarks: a bare loop over lego's api.Core that polls every millisecond,
// ignores Retry-After, stores nothing and checks nothing. The workers take the names one
// after another.
func Floor(ctx context.Context, core *api.Core, tokens *Tokens, names []string, workers int) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(workers, 1))
	for _, name := range names {
		group.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			_, _, err := Obtain(ctx, core, tokens, name)
			return err
		})
	}
	return group.Wait()
}

// Obtain obtains one certificate as [Floor] does, and returns the chain in PEM and the
// P-256 key.
func Obtain(ctx context.Context, core *api.Core, tokens *Tokens, name string) ([]byte, crypto.Signer, error) {
	return ObtainKept(ctx, core, tokens, name, func(string, string, crypto.Signer) error { return nil })
}

// ObtainKept is [Obtain], and calls keep with the URL of the order and its key before the
// order is finalized.
func ObtainKept(ctx context.Context, core *api.Core, tokens *Tokens, name string, keep func(name, url string, key crypto.Signer) error) ([]byte, crypto.Signer, error) {
	order, err := core.Orders.New([]string{name})
	if err != nil {
		return nil, nil, fmt.Errorf("ordering %s: %w", name, err)
	}
	for _, u := range order.Authorizations {
		if err := authorize(ctx, core, tokens, u); err != nil {
			return nil, nil, fmt.Errorf("proving %s: %w", name, err)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{name}}, key)
	if err != nil {
		return nil, nil, err
	}
	if err := keep(name, order.Location, key); err != nil {
		return nil, nil, err
	}
	chain, err := Finalize(ctx, core, order, csr)
	if err != nil {
		return nil, nil, fmt.Errorf("finalizing %s: %w", name, err)
	}
	return chain, key, nil
}

// authorize solves the http-01 challenge of an authorization.
func authorize(ctx context.Context, core *api.Core, tokens *Tokens, authzURL string) error {
	authz, err := core.Authorizations.Get(authzURL)
	if err != nil || authz.Status == acme.StatusValid {
		return err
	}
	for _, c := range authz.Challenges {
		if c.Type != "http-01" {
			continue
		}
		keyAuth, err := core.GetKeyAuthorization(c.Token)
		if err != nil {
			return err
		}
		tokens.Set(c.Token, keyAuth)
		defer tokens.Delete(c.Token)
		return Verdict(ctx, core, authzURL, c.URL)
	}
	return errors.New("no http-01 challenge offered")
}

// Verdict asks the CA to validate a challenge and waits for the result.
func Verdict(ctx context.Context, core *api.Core, authzURL, challengeURL string) error {
	if _, err := core.Challenges.New(challengeURL); err != nil {
		return err
	}
	for wait(ctx, poll) {
		authz, err := core.Authorizations.Get(authzURL)
		if err != nil || authz.Status == acme.StatusValid {
			return err
		}
		if authz.Status == acme.StatusPending {
			continue
		}
		for _, c := range authz.Challenges {
			if c.Error != nil {
				return c.Error
			}
		}
		return fmt.Errorf("authorization is %s", authz.Status)
	}
	return ctx.Err()
}

// Finalize finalizes the order and fetches the certificate once it is issued.
func Finalize(ctx context.Context, core *api.Core, order acme.ExtendedOrder, csr []byte) ([]byte, error) {
	done, err := core.Orders.UpdateForCSR(order.Finalize, csr)
	for err == nil && done.Status != acme.StatusValid {
		if done.Status == acme.StatusInvalid {
			return nil, done.Err()
		}
		if !wait(ctx, poll) {
			return nil, ctx.Err()
		}
		done, err = core.Orders.Get(order.Location)
	}
	if err != nil {
		return nil, err
	}
	chain, _, err := core.Certificates.Get(done.Certificate, true)
	return chain, err
}
