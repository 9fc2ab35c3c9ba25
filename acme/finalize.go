package acme

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	legoacme "github.com/go-acme/lego/v4/acme"

	"keypaird/acme/answer"
	"keypaird/acme/refusal"
	"keypaird/acme/transport"
	"keypaird/renew/keypair"
	"keypaird/renew/textfmt"
)

// finalizeTries bounds the requests to a CA that leaves the order ready: they take
// about half a minute.
const finalizeTries = 8

// finalize sends the certificate request for the n-th time. If the answer is lost,
// or the CA finds the order not ready after all, its state decides what comes
// next.
func (j *job) finalize(ctx context.Context, n int) error {
	if n == 1 {
		j.asked = time.Now()
	}
	if n > finalizeTries { // it went back to ready each time
		return j.stillReady(n-1, nil)
	}
	err := j.sendRequest(ctx)
	if err == nil && j.order.Status != legoacme.StatusReady {
		return nil
	}
	if n == finalizeTries {
		return j.stillReady(n, err)
	}
	pause, err := j.pauseAfterFinalize(err, n)
	if err != nil {
		return fmt.Errorf("finalizing: %w", err)
	}
	if err := sleep(ctx, pause); err != nil {
		return err
	}
	return j.fetchAgain(ctx, "finalizing")
}

// sendRequest sends the certificate request.
func (j *job) sendRequest(ctx context.Context) error {
	der, err := keypair.CertificateRequest(j.key, j.req.Names, j.named)
	if err != nil {
		return fmt.Errorf("making the request to sign: %w", err)
	}
	j.session.transport.Label(j.order.Finalize, transport.ResourceFinalize)
	order, err := call(ctx, j.session, 1, func() (legoacme.ExtendedOrder, error) {
		return j.session.core.Orders.UpdateForCSR(j.order.Finalize, der)
	})
	if err == nil {
		j.order = order.Order
	}
	return err
}

// pauseAfterFinalize returns how long to wait after the n-th request to finalize,
// which failed with err or left the order ready; an error if no other is sent.
func (j *job) pauseAfterFinalize(err error, n int) (time.Duration, error) {
	pause := j.client.pause << (n - 1)
	var p *Problem
	var malformed *ProtocolError // the CA may have finalized the order nevertheless
	switch {
	case err == nil: // it is ready still
		return max(pause, min(time.Until(j.session.transport.Answer(j.order.Finalize).RetryAfter), maxRetryAfter)), nil
	case errors.As(err, &p) && (p.Type == refusal.NotReady || p.Gone()):
		return max(pause, min(time.Until(p.RetryAt), maxRetryAfter)), nil // a replica that lags
	case p != nil && p.Type == "badCSR" && !j.named:
		j.named = true
		return 0, nil
	}
	pause = pauseAfter(err, n)
	if n >= tries || pause > maxOwnPause || !transient(err) && !(errors.As(err, &malformed) && malformed.Kind != transport.OtherHost) {
		return 0, err
	}
	j.log.Debug("finalize unanswered", "err", err)
	return pause, nil
}

// stillReady returns the error of an order that n requests did not finalize, the last
// of them with err. The order is not at fault.
func (j *job) stillReady(n int, err error) error {
	if err == nil {
		err = errors.New("the order is still ready")
	}
	what := fmt.Sprintf("finalizing: after %d requests: %s", n, textfmt.OneLine(err.Error(), maxDetail))
	return timeout(j.client.ca.Name, what, time.Since(j.asked).Round(time.Second))
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
	if want := j.req.PreferredChain; want != "" && answer.TopIssuer(chain) != want {
		if pair := j.preferred(ctx, a); pair != nil {
			return pair, nil
		}
		j.log.Warn("preferred chain not offered", "ca", j.client.ca.Name, "wanted", want, "used", textfmt.OneLine(answer.TopIssuer(chain), 64))
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
	for _, alt := range answer.Alternates(j.order.Certificate, a.Header) {
		chain, err := j.downloadAlternate(ctx, alt)
		if err == nil && answer.TopIssuer(chain) != j.req.PreferredChain {
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
