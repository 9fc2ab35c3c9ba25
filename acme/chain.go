package acme

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"keypaird/renew/keypair"
	"keypaird/renew/textfmt"
)

// A WrongCertificateError reports a CA that did not certify what was ordered.
type WrongCertificateError struct {
	CA  string
	Err error
}

func (e *WrongCertificateError) Error() string {
	return fmt.Sprintf("%s: the CA gave another certificate than was ordered: %s", e.CA, textfmt.OneLine(e.Err.Error(), maxDetail))
}

func (e *WrongCertificateError) Unwrap() error { return e.Err }

// Remedy says what the operator can do about it.
func (e *WrongCertificateError) Remedy() string {
	return "the pair in use was left as it is; tell the CA, or name another one in sign_with"
}

// A ClockError reports a certificate that is valid now by the CA's clock and
// not by ours.
type ClockError struct {
	CA      string
	CAsTime time.Time
	Err     error
}

func (e *ClockError) Error() string {
	return fmt.Sprintf("%s: %v, but %s by the CA's clock", e.CA, e.Err, e.CAsTime.UTC().Format(time.RFC3339))
}

func (e *ClockError) Unwrap() error { return e.Err }

// Remedy says what the operator can do about it.
func (e *ClockError) Remedy() string {
	return "set this machine's clock; the certificate is kept at the CA and fetched by the next run"
}

// fetch downloads the chain, and hands it out only if it is what was ordered
// and fits the key.
func (j *job) fetch(ctx context.Context) (*keypair.Pair, error) {
	j.step("fetching the certificate")
	j.session.guard.is(j.order.Certificate, resCert)
	chain, err := ask(ctx, j, tries, func() ([]byte, error) { return j.get(j.order.Certificate) })
	if err != nil {
		return nil, fmt.Errorf("fetching: %w", err)
	}
	a := j.session.guard.answer(j.order.Certificate)
	if want := j.req.PreferredChain; want != "" && topIssuer(chain) != want {
		if pair := j.preferred(ctx, a); pair != nil {
			return pair, nil
		}
		j.log.Warn("preferred chain not to be had", "ca", j.client.ca.Name, "wanted", want, "used", textfmt.OneLine(topIssuer(chain), 64))
	}
	pair, err := j.check(chain)
	var dates *keypair.DateError
	if errors.As(err, &dates) {
		if at, e := http.ParseTime(a.header.Get("Date")); e == nil && pair.CheckNew(j.req.Names, at) == nil {
			return nil, &ClockError{j.client.ca.Name, at, err}
		}
	}
	if err != nil {
		return nil, &WrongCertificateError{j.client.ca.Name, err}
	}
	return pair, nil
}

// check makes a pair of chain and the key of the order. One with a *DateError
// is returned too.
func (j *job) check(chain []byte) (*keypair.Pair, error) {
	key, err := keypair.MarshalKey(j.key)
	if err != nil {
		return nil, err
	}
	pair, err := keypair.Parse(chain, key)
	if err != nil {
		return nil, err
	}
	return pair, pair.CheckNew(j.req.Names, time.Now())
}

// download returns the chain at url as the CA sent it.
func (j *job) download(ctx context.Context, url string) ([]byte, error) {
	j.session.guard.is(url, resCert)
	return call(ctx, j.session, 1, func() ([]byte, error) { return j.get(url) })
}

func (j *job) get(url string) ([]byte, error) {
	chain, _, err := j.session.core.Certificates.Get(url, true)
	return chain, err
}

// preferred returns a pair whose chain leads to the root that the configuration
// names, from the alternates in the answer a (RFC 8555, section 7.4.2); nil if
// there is none. Then the default is used: a valid certificate is worth more
// than a wish.
func (j *job) preferred(ctx context.Context, a answer) *keypair.Pair {
	for _, alt := range alternates(j.order.Certificate, a.header) {
		chain, err := j.download(ctx, alt)
		if err == nil && topIssuer(chain) != j.req.PreferredChain {
			continue
		}
		var pair *keypair.Pair
		if err == nil {
			pair, err = j.check(chain)
		}
		if err == nil {
			return pair
		}
		if ctx.Err() != nil {
			return nil
		}
		j.log.Warn("alternate chain not usable", "url", textfmt.OneLine(alt, maxDetail), "err", err)
	}
	return nil
}

var alternateLink = regexp.MustCompile(`<([^<>]+)>[^,<]*;\s*rel="?alternate"?`)

const maxAlternates = 8

// alternates lists the links to other chains, resolved against base.
func alternates(base string, h http.Header) []string {
	var urls []string
	from, err := url.Parse(base)
	if err != nil {
		return nil
	}
	for _, link := range h["Link"] {
		for _, m := range alternateLink.FindAllStringSubmatch(link, maxAlternates) {
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
