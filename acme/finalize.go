package acme

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"time"

	legoacme "github.com/go-acme/lego/v4/acme"

	"keypaird/acme/transport"
	"keypaird/renew/keypair"
	"keypaird/renew/textfmt"
)

// finalize sends the certificate request for the n-th time. If the answer is lost,
// or the CA finds the order not ready after all, its state decides what comes
// next.
func (j *job) finalize(ctx context.Context, n int) error {
	der, err := csr(j.key, j.req.Names)
	if err != nil {
		return fmt.Errorf("making the request to sign: %w", err)
	}
	j.session.transport.Label(j.order.Finalize, transport.ResourceFinalize)
	order, err := call(ctx, j.session, 1, func() (legoacme.ExtendedOrder, error) {
		return j.session.core.Orders.UpdateForCSR(j.order.Finalize, der)
	})
	if err == nil {
		j.order = order.Order
		if j.order.Status == legoacme.StatusReady {
			return j.stillReady(ctx, n)
		}
		return nil
	}
	var p *Problem
	var malformed *ProtocolError // the CA may have finalized the order nevertheless
	notReady := errors.As(err, &p) && p.Type == "orderNotReady"
	lags := p != nil && p.Status == http.StatusNotFound
	pause := pauseAfter(err, n)
	if n >= tries || pause > maxOwnPause || !notReady && !lags && !transient(err) && !errors.As(err, &malformed) {
		return fmt.Errorf("finalizing: %w", err)
	}
	j.log.Debug("finalize unanswered", "err", err)
	if !notReady {
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
	err = j.fetchOrder(ctx)
	if transient(err) {
		return nil
	}
	return err
}

// finalizeTries bounds the requests to a CA that answers each with status ready:
// they take about half a minute.
const finalizeTries = 8

// stillReady waits after the n-th request to finalize that left the order ready,
// and fetches the order again.
func (j *job) stillReady(ctx context.Context, n int) error {
	if n >= finalizeTries {
		return timeout(j.client.ca.Name, fmt.Sprintf("finalizing: after %d requests the order is still ready", n), time.Since(j.asked).Round(time.Second))
	}
	if n == 1 {
		j.asked = time.Now()
	}
	pause := j.client.finalizePause << (n - 1)
	if d := time.Until(j.session.transport.Answer(j.order.Finalize).RetryAfter); d > pause {
		pause = min(d, maxRetryAfter)
	}
	if err := sleep(ctx, pause); err != nil {
		return err
	}
	err := j.fetchOrder(ctx)
	if transient(err) {
		return nil
	}
	return err
}

// csr returns a PKCS #10 request for exactly names. It has no common name: CAs that
// still set one take it from the names (RFC 8555, section 7.4).
func csr(key crypto.Signer, names []string) ([]byte, error) {
	var t x509.CertificateRequest
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, name)
		}
	}
	return x509.CreateCertificateRequest(rand.Reader, &t, key)
}

// fetchCertificate downloads the chain and checks that it is for the ordered names
// and the key.
func (j *job) fetchCertificate(ctx context.Context) (*keypair.Pair, error) {
	j.step("fetching the certificate")
	j.session.transport.Label(j.order.Certificate, transport.ResourceCert)
	chain, err := ask(ctx, j, tries, func() ([]byte, error) { return j.get(j.order.Certificate) })
	if err != nil {
		return nil, fmt.Errorf("fetching: %w", err)
	}
	a := j.session.transport.Answer(j.order.Certificate)
	if want := j.req.PreferredChain; want != "" && topIssuer(chain) != want {
		if pair := j.preferred(ctx, a); pair != nil {
			return pair, nil
		}
		j.log.Warn("preferred chain not offered", "ca", j.client.ca.Name, "wanted", want, "used", textfmt.OneLine(topIssuer(chain), 64))
	}
	pair, err := j.check(chain)
	var dates *keypair.DateError
	if errors.As(err, &dates) {
		if at, e := http.ParseTime(a.Header.Get("Date")); e == nil && pair.CheckNew(j.req.Names, at) == nil {
			return nil, clockError(j.client.ca.Name, at, err)
		}
	}
	if err != nil {
		return nil, wrongCertificate(j.client.ca.Name, err)
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

// downloadAlternate returns the chain at url as the CA sent it.
func (j *job) downloadAlternate(ctx context.Context, url string) ([]byte, error) {
	j.session.transport.Label(url, transport.ResourceCert)
	return call(ctx, j.session, 1, func() ([]byte, error) { return j.get(url) })
}

func (j *job) get(url string) ([]byte, error) {
	chain, _, err := j.session.core.Certificates.Get(url, true)
	return chain, err
}

// preferred returns a pair with a chain to the root that the configuration names,
// from the alternates in the answer a (RFC 8555, section 7.4.2); nil if there is
// none. Then the default chain is used.
func (j *job) preferred(ctx context.Context, a transport.Answer) *keypair.Pair {
	for _, alt := range alternates(j.order.Certificate, a.Header) {
		chain, err := j.downloadAlternate(ctx, alt)
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

// topIssuer returns the common name of the root that the chain leads to.
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
