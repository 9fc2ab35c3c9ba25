package renewalinfo

import (
	"errors"
	"math/rand/v2"
	"time"

	"keypaird/renew/backoff"
	"keypaird/renew/problem"
)

// A SuggestedWindow is the time in which a CA wants a certificate replaced.
type SuggestedWindow struct {
	Start, End  time.Time // zero: the CA does not say
	Explanation string    // URL of a page for the operator; may be ""
	Next        time.Time // when to ask again
}

// Info is the suggested window of a CA for one certificate, and the instant chosen
// within it.
type Info struct {
	Fingerprint string    `json:"fingerprint,omitempty"` // of the certificate
	Start       time.Time `json:"start,omitzero"`        // of the window; zero: unknown
	End         time.Time `json:"end,omitzero"`
	Chosen      time.Time `json:"chosen,omitzero"` // drawn once for a window (RFC 9773, section 4.2)
	Explanation string    `json:"explanation,omitempty"`
	Next        time.Time `json:"next,omitzero"` // when to ask again
	Failures    int       `json:"failures,omitempty"`
	Error       string    `json:"error,omitempty"`
}

// Backoff after a failed request for renewal information. After an answer, the CA
// chooses a time between a minute and a day.
var askAgain = []time.Duration{time.Minute, 10 * time.Minute, 100 * time.Minute, 6 * time.Hour}

const maxAsk = 24 * time.Hour

// NextQuery returns when to ask about the certificate with fingerprint: now if that
// is due.
func (a Info) NextQuery(fingerprint string, now time.Time) time.Time {
	if a.Fingerprint != fingerprint || !a.Next.After(now) || a.Next.Sub(now) > maxAsk+time.Minute { // written by a wrong clock
		return now
	}
	return a.Next
}

// Updated returns a after an answer about the certificate with fingerprint. The
// chosen instant stays while the window stays.
func (a Info) Updated(fingerprint string, w SuggestedWindow, now time.Time) Info {
	b := Info{Fingerprint: fingerprint, Start: w.Start, End: w.End, Explanation: w.Explanation, Next: within(w.Next, now)}
	if !b.Start.IsZero() && !b.End.After(b.Start) { // not a window
		b.Start, b.End = time.Time{}, time.Time{}
	}
	switch {
	case b.Start.IsZero():
	case a.Fingerprint == fingerprint && a.Start.Equal(b.Start) && a.End.Equal(b.End) && !a.Chosen.IsZero():
		b.Chosen = a.Chosen
	default:
		b.Chosen = b.Start.Add(rand.N(b.End.Sub(b.Start))).UTC().Truncate(time.Second)
		if b.Chosen.Before(b.Start) { // which may lie within a second
			b.Chosen = b.Start
		}
	}
	return b
}

// Failed returns a after a fetch that failed. The suggested window stays.
func (a Info) Failed(fingerprint string, err error, now time.Time) Info {
	if a.Fingerprint != fingerprint {
		a = Info{Fingerprint: fingerprint}
	}
	a.Failures, a.Error = max(a.Failures, 0)+1, problem.OneLine(err)
	wait := askAgain[len(askAgain)-1]
	var moment interface{ Temporary() bool }
	var limited interface{ Earliest() time.Time }
	switch {
	case errors.As(err, &moment) && moment.Temporary():
		wait = askAgain[min(a.Failures, len(askAgain))-1]
	case errors.As(err, &limited) && limited.Earliest().After(now):
		wait = limited.Earliest().Sub(now)
	}
	a.Next = within(now.Add(backoff.Jitter(wait)), now)
	return a
}

// within bounds the time of the next request.
func within(next, now time.Time) time.Time {
	wait := min(max(next.Sub(now), time.Minute), maxAsk)
	return now.Add(wait).UTC().Truncate(time.Second)
}
