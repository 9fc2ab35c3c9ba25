package acme

import (
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// An Exchange is one request to a CA and what became of it.
type Exchange struct {
	CA       string
	Method   string
	Resource string        // directory nonce account order authz challenge finalize cert renewal-info revoke other
	Status   int           // of HTTP; 0: no answer, or not all of it
	Took     time.Duration // until the answer was read
}

// What an Exchange can be about.
const (
	resDirectory   = "directory"
	resNonce       = "nonce"
	resAccount     = "account"
	resOrder       = "order"
	resAuthz       = "authz"
	resChallenge   = "challenge"
	resFinalize    = "finalize"
	resCert        = "cert"
	resRenewalInfo = "renewal-info"
	resRevoke      = "revoke"
	resOther       = "other"
)

// maxApart is how far two clocks may be apart without a word: certificates are
// valid from up to an hour before they are issued, and no human sets a clock by
// the second.
const maxApart = 5 * time.Minute

// A watch looks at what passes between a client and its CA.
type watch struct {
	ca      string
	log     *slog.Logger
	observe func(Exchange) // may be nil

	mu    sync.Mutex
	ahead time.Duration
	known bool
	apart bool // and so it was said
}

// Clock says how far the CA's clock was ahead of ours when it last answered; a
// negative duration means behind. It is not known before the first answer.
func (c *Client) Clock() (ahead time.Duration, known bool) {
	c.watch.mu.Lock()
	defer c.watch.mu.Unlock()
	return c.watch.ahead, c.watch.known
}

func (w *watch) observed(x Exchange) {
	if w.observe != nil {
		x.CA = w.ca
		w.observe(x)
	}
}

// compare looks at the Date (RFC 9110, section 6.6.1) of an answer to a request
// that was sent and answered at these times by our clock. The warning is said
// once, until the clocks agree again.
func (w *watch) compare(h http.Header, sent, answered time.Time) {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return
	}
	ahead := difference(date, sent, answered)
	w.mu.Lock()
	was := w.apart
	w.ahead, w.known, w.apart = ahead, true, ahead.Abs() > maxApart
	now := w.apart
	w.mu.Unlock()
	switch {
	case now && !was:
		w.log.Warn("clock differs", "ca", w.ca, "by", ahead)
	case was && !now:
		w.log.Info("clock agrees again", "ca", w.ca)
	}
}

// difference is how far a clock that showed date is ahead of one that showed
// sent before and answered after, as far as that is certain: Date has whole
// seconds, and nobody knows how long the answer was on its way.
func difference(date, sent, answered time.Time) time.Duration {
	if d := date.Sub(answered.Round(0)); d > 0 {
		return d
	}
	if d := date.Add(time.Second).Sub(sent.Round(0)); d < 0 {
		return d
	}
	return 0
}
