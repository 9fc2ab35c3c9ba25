package acme

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"time"

	legoacme "github.com/go-acme/lego/v4/acme"

	"keypaird/renew/keypair"
)

// A WrongCertificateError reports a CA that did not certify what was ordered.
type WrongCertificateError struct {
	CA  string
	Err error
}

func (e *WrongCertificateError) Error() string {
	return fmt.Sprintf("%s: the CA gave another certificate than was ordered: %v", e.CA, e.Err)
}

func (e *WrongCertificateError) Unwrap() error { return e.Err }

// Remedy says what the operator can do about it.
func (e *WrongCertificateError) Remedy() string {
	return "the pair in use was left as it is; tell the CA, or name another one in sign_with"
}

// fetch downloads the chain, and hands it out only if it is what was ordered
// and fits the key.
func (j *job) fetch(ctx context.Context) (*keypair.Pair, error) {
	j.step("fetching the certificate")
	chain, err := j.download(ctx, j.order.Certificate)
	if err != nil {
		return nil, fmt.Errorf("fetching: %w", err)
	}
	if want := j.req.PreferredChain; want != "" && topIssuer(chain) != want {
		chain = j.preferred(ctx, chain)
	}
	key, err := os.ReadFile(j.pending.keyFile())
	if err != nil {
		return nil, fmt.Errorf("reading the key of the order: %w", err)
	}
	pair, err := keypair.Parse(chain, key)
	if err == nil {
		err = pair.Check(j.req.Names, pair.Leaf.NotBefore)
	}
	if err != nil {
		return nil, &WrongCertificateError{j.client.ca.Name, err}
	}
	if err := pair.Check(j.req.Names, time.Now()); err != nil {
		return nil, &ClockError{j.client.ca.Name, err}
	}
	return pair, nil
}

// A ClockError reports a certificate that is not valid now, by our clock.
type ClockError struct {
	CA  string
	Err error
}

func (e *ClockError) Error() string { return fmt.Sprintf("%s: %v", e.CA, e.Err) }

func (e *ClockError) Unwrap() error { return e.Err }

// Remedy says what the operator can do about it.
func (e *ClockError) Remedy() string {
	return "set this machine's clock; the certificate is kept at the CA and fetched by the next run"
}

// download returns the chain at url as the CA sent it.
func (j *job) download(ctx context.Context, url string) ([]byte, error) {
	_, err := call(ctx, j.session, tries, func() ([]byte, error) {
		cert, _, err := j.session.core.Certificates.Get(url, true)
		return cert, err
	})
	return j.session.guard.answer(url).body, err
}

// preferred looks for a chain to the root the configuration names among the
// alternates (RFC 8555, section 7.4.2). Without one the default is used: a
// valid certificate is worth more than a wish.
func (j *job) preferred(ctx context.Context, byDefault []byte) []byte {
	for _, alt := range alternates(j.order.Certificate, j.session.guard.answer(j.order.Certificate)) {
		chain, err := j.download(ctx, alt)
		if err != nil {
			j.log.Warn("alternate chain not fetched", "url", alt, "err", err)
			continue
		}
		if topIssuer(chain) == j.req.PreferredChain {
			return chain
		}
	}
	j.log.Warn("preferred chain not offered", "ca", j.client.ca.Name, "wanted", j.req.PreferredChain, "used", topIssuer(byDefault))
	return byDefault
}

var alternateLink = regexp.MustCompile(`<([^<>]+)>[^,]*;\s*rel="?alternate"?`)

const maxAlternates = 8

func alternates(base string, a answer) []string {
	var urls []string
	from, err := url.Parse(base)
	if err != nil {
		return nil
	}
	for _, link := range a.header["Link"] {
		for _, m := range alternateLink.FindAllStringSubmatch(link, -1) {
			if u, err := from.Parse(m[1]); err == nil && len(urls) < maxAlternates {
				urls = append(urls, u.String())
			}
		}
	}
	return urls
}

// topIssuer is the common name of the root that the chain leads to.
func topIssuer(chain []byte) string {
	var top string
	for rest := chain; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return top
		}
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
			top = cert.Issuer.CommonName
		}
	}
}

// Revoke revokes a certificate (RFC 8555, section 7.6). A nil reason gives none.
func (c *Client) Revoke(ctx context.Context, leaf *x509.Certificate, reason *uint) error {
	s, err := c.session(ctx)
	if err != nil {
		return err
	}
	defer c.done(s)
	_, err = call(ctx, s, tries, func() (struct{}, error) {
		return struct{}{}, s.core.Certificates.Revoke(legoacme.RevokeCertMessage{
			Certificate: base64.RawURLEncoding.EncodeToString(leaf.Raw), Reason: reason,
		})
	})
	var p *Problem
	if errors.As(err, &p) && p.Type == "alreadyRevoked" {
		return nil
	}
	return err
}
