package backoff

import (
	"errors"
	"math/rand/v2"
	"time"

	"keypaird/renew/durable"
	"keypaird/renew/problem"
)

// Persistent is the number of failures in a row from which on a step keeps failing:
// another CA is asked, and the operator is notified.
const Persistent = 3

// An Attempt counts the failures of one step. The zero value is success.
type Attempt struct {
	Failures  int       `json:"failures,omitempty"`    // in a row
	Here      int       `json:"here,omitempty"`        // how many of the last ones, in a row, another machine may not have
	At        time.Time `json:"at,omitzero"`           // of the last
	Next      time.Time `json:"next,omitzero"`         // earliest next try
	TryNextCA bool      `json:"try_next_ca,omitempty"` // another CA may succeed
	Error     string    `json:"error,omitempty"`
	Remedy    string    `json:"remedy,omitempty"`
}

// waits between tries, as Let's Encrypt recommends.
var waits = []time.Duration{time.Minute, 10 * time.Minute, 100 * time.Minute, longest}

const (
	longest = 24 * time.Hour // wait, also if a CA wants a longer one
	// Let's Encrypt allows five failures of a name at first, then one in 12 minutes.
	minNearExpiry = 15 * time.Minute // after the first failures
)

// Waits reports whether the next try comes later than now. A time further off than
// any backoff was written by a wrong clock.
func (a Attempt) Waits(now time.Time) bool {
	return a.Next.After(now) && a.Next.Sub(now) <= longest+maxJitter
}

// Limits of the random part of each wait, so that machines that failed together do
// not try again together.
const (
	jitterPart = 8
	maxJitter  = 30 * time.Minute
)

// Jitter returns wait and a random part.
func Jitter(wait time.Duration) time.Duration {
	return wait + rand.N(min(wait/jitterPart, maxJitter)+1)
}

// wait returns the backoff, before jitter, after one more failure at now of a step
// that must succeed before until.
func (a Attempt) wait(now, until time.Time) time.Duration {
	wait := waits[min(max(a.Failures, 0), len(waits)-1)]
	left := until.Sub(now)
	switch {
	case until.IsZero():
		return wait
	case left <= 0:
		return min(wait, time.Hour)
	}
	wait = min(wait, max(left/20, minNearExpiry))    // near the end, a day is too long
	return min(wait, left*jitterPart/(jitterPart+1)) // never after it
}

// Latest returns the latest time of the next try after one more failure at now.
func (a Attempt) Latest(now, until time.Time) time.Time {
	wait := a.wait(now, until)
	return now.Add(wait + min(wait/jitterPart, maxJitter))
}

// Failed returns a after one more failure at now of a step that must succeed before
// until; zero: no limit. If err has a method Earliest, the next try is not before
// that, at most a day later. If err has the methods TryNext and FailsHere, they say
// whether another CA, and another machine, may succeed.
func (a Attempt) Failed(err error, now, until time.Time) Attempt {
	wait := a.wait(now, until)
	a.Failures = max(a.Failures, 0) + 1
	a.At = now.UTC().Truncate(time.Second)
	a.Next = a.At.Add(Jitter(wait)).Truncate(time.Second)
	var limited interface{ Earliest() time.Time }
	if errors.As(err, &limited) && limited.Earliest().After(a.Next) {
		wait := min(limited.Earliest().Sub(a.At), longest)
		a.Next = a.At.Add(wait + rand.N(min(wait, time.Minute)) + time.Second).Truncate(time.Second)
	}
	var order interface{ TryNext() bool }
	a.TryNextCA = errors.As(err, &order) && order.TryNext()
	var machine interface{ FailsHere() bool }
	if a.Here++; !errors.As(err, &machine) || !machine.FailsHere() {
		a.Here = 0
	}
	a.Error, a.Remedy = problem.OneLine(err), durable.Remedy(err)
	return a
}
