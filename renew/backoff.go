package renew

import (
	"errors"
	"math/rand/v2"
	"strings"
	"time"
)

// An Attempt remembers failures of one thing. The zero value is success.
type Attempt struct {
	Failures  int       `json:"failures,omitempty"`    // in a row
	At        time.Time `json:"at,omitzero"`           // of the last
	Next      time.Time `json:"next,omitzero"`         // try: not before
	TryNextCA bool      `json:"try_next_ca,omitempty"` // another CA may do better
	Error     string    `json:"error,omitempty"`
	Remedy    string    `json:"remedy,omitempty"`
	Endpoint  string    `json:"endpoint,omitempty"` // of verify: the first that does not serve the certificate
}

// backoff between tries: 1 min, 10 min, 100 min, then a day, as Let's Encrypt
// asks of clients.
var backoff = []time.Duration{time.Minute, 10 * time.Minute, 100 * time.Minute, longest}

const (
	longest = 24 * time.Hour // backoff, and longest that a CA can have us wait
	// Let's Encrypt lets a name fail five times in an hour, once in twelve
	// minutes thereafter.
	minBackoffNearExpiry = 15 * time.Minute // after the first failures
	notifyAfter          = 3                // failures after which a CA keeps failing
)

// Waits reports whether the next try is to come later. A time further off than
// any backoff was written by a clock that was wrong.
func (a Attempt) Waits(now time.Time) bool {
	return a.Next.After(now) && a.Next.Sub(now) <= longest+maxJitter
}

// Up to so small a part is added to each wait, so that machines that failed
// batchDelay do not try again together.
const (
	jitterPart = 8
	maxJitter  = 30 * time.Minute
)

func jitter(wait time.Duration) time.Duration {
	return wait + rand.N(min(wait/jitterPart, maxJitter)+1)
}

// wait is how long the next try is put off, before jitter, if one more fails at
// now of something that is wanted before until.
func (a Attempt) wait(now, until time.Time) time.Duration {
	wait := backoff[min(max(a.Failures, 0), len(backoff)-1)]
	left := until.Sub(now)
	switch {
	case until.IsZero():
		return wait
	case left <= 0:
		return min(wait, time.Hour)
	}
	return min(wait, max(left/20, minBackoffNearExpiry)) // near the end, a day is too long
}

// latest is when the next try comes at the latest if one more fails at now.
func (a Attempt) latest(now, until time.Time) time.Time {
	wait := a.wait(now, until)
	return now.Add(wait + min(wait/jitterPart, maxJitter))
}

// Failed counts one more failure at now of something that is wanted before
// until; zero: nothing ends. An err that knows the Earliest time at which another
// try makes sense is heeded, for a day. An err that knows its FailedEndpoint says
// where the certificate is not served.
func (a Attempt) Failed(err error, now, until time.Time) Attempt {
	wait := a.wait(now, until)
	a.Failures = max(a.Failures, 0) + 1
	a.At = now.UTC().Truncate(time.Second)
	a.Next = a.At.Add(jitter(wait)).Truncate(time.Second)
	var limited interface{ Earliest() time.Time }
	if errors.As(err, &limited) && limited.Earliest().After(a.Next) {
		wait := min(limited.Earliest().Sub(a.At), longest)
		a.Next = a.At.Add(wait + rand.N(min(wait, time.Minute)) + time.Second).Truncate(time.Second)
	}
	var order *OrderError
	a.TryNextCA = errors.As(err, &order) && order.TryNextCA
	a.Error, a.Remedy, a.Endpoint = oneLine(err), Remedy(err), ""
	var unserved interface{ FailedEndpoint() string }
	if errors.As(err, &unserved) {
		a.Endpoint = unserved.FailedEndpoint()
	}
	return a
}

// oneLine makes an error fit for a record.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
