package renew

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// An Attempt remembers failures of one thing. The zero value is success.
type Attempt struct {
	Failures  int       `json:"failures,omitempty"`  // in a row
	At        time.Time `json:"at,omitzero"`         // of the last
	Next      time.Time `json:"next,omitzero"`       // try: not before
	Elsewhere bool      `json:"elsewhere,omitempty"` // another CA may do better
	Error     string    `json:"error,omitempty"`
	Remedy    string    `json:"remedy,omitempty"`
}

// backoff between tries: 1 min, 10 min, 100 min, then a day, as Let's Encrypt
// asks of clients.
var backoff = []time.Duration{time.Minute, 10 * time.Minute, 100 * time.Minute, longest}

const (
	longest = 24 * time.Hour // backoff, and longest that a CA can have us wait
	// Let's Encrypt lets a name fail five times in an hour, once in twelve
	// minutes thereafter.
	hurry    = 15 * time.Minute // shortest backoff after the first failures
	stubborn = 3                // failures after which a CA keeps failing
)

// Waits reports whether the next try is to come later. A time further off than
// any backoff was written by a clock that was wrong.
func (a Attempt) Waits(now time.Time) bool {
	return a.Next.After(now) && a.Next.Sub(now) <= longest+maxJitter
}

// Up to so small a part is added to each wait, so that machines that failed
// together do not try again together.
const (
	jitterPart = 8
	maxJitter  = 30 * time.Minute
)

func jitter(wait time.Duration) time.Duration {
	return wait + rand.N(min(wait/jitterPart, maxJitter)+1)
}

// Failed counts one more failure at now of something that is wanted before
// until; zero: nothing ends. An err that knows the Earliest time at which another
// try makes sense is heeded, for a day.
func (a Attempt) Failed(err error, now, until time.Time) Attempt {
	a.Failures = max(a.Failures, 0) + 1
	wait := backoff[min(a.Failures, len(backoff))-1]
	if left := until.Sub(now); !until.IsZero() { // near the end, a day is too long
		wait = min(wait, max(left/20, hurry))
		if left <= 0 {
			wait = min(backoff[min(a.Failures, len(backoff))-1], time.Hour)
		}
	}
	a.At = now.UTC().Truncate(time.Second)
	a.Next = a.At.Add(jitter(wait)).Truncate(time.Second)
	var limited interface{ Earliest() time.Time }
	if errors.As(err, &limited) && limited.Earliest().After(a.Next) {
		told := min(limited.Earliest().Sub(a.At), longest)
		a.Next = a.At.Add(told + rand.N(min(told, time.Minute)) + time.Second).Truncate(time.Second)
	}
	var order *OrderError
	a.Elsewhere = errors.As(err, &order) && order.Elsewhere
	a.Error, a.Remedy = strings.ReplaceAll(err.Error(), "\n", "; "), Remedy(err)
	return a
}

const (
	budget     = 2 // certificates for one exact set of names in a day
	budgetWeek = 4 // and in a week: Let's Encrypt grants five
	week       = 7 * 24 * time.Hour
)

// overdrawn says why no certificate for t may be ordered at now, and until
// when. The budget is kept whatever the reason for ordering.
func (s State) overdrawn(now time.Time, t Target) (why string, until time.Time) {
	for _, limit := range []struct {
		least  int
		period time.Duration
		words  string
	}{{budget, longest, "a day"}, {budgetWeek, week, "a week"}} {
		most := s.atMost(t, limit.least, limit.period)
		if spent := s.Record.spent(t.Names, now, limit.period); len(spent) >= most {
			why = fmt.Sprintf("%d certificates for these names were issued within %s", len(spent), limit.words)
			return why, spent[len(spent)-most].Add(limit.period)
		}
	}
	return "", time.Time{}
}

// atMost is how many certificates a period may see: least, but two for each
// lifetime, as those of private CAs may live for hours only. Of that of a CA that
// is not asked any more, nothing follows.
func (s State) atMost(t Target, least int, period time.Duration) int {
	if s.Leaf == nil || s.foreign(t.CAs...) {
		return least
	}
	life := min(max(s.Leaf.NotAfter.Sub(s.Leaf.NotBefore), time.Minute), longestLife)
	return max(least, int((2*period+life-1)/life))
}

const longestLife = 100 * 365 * 24 * time.Hour // to reckon with

// foreign reports whether the newest certificate is known to be none of cas.
func (s State) foreign(cas ...string) bool {
	return s.Record.Fingerprint != "" && s.Record.Fingerprint == s.Fingerprint && !contains(cas, s.Record.CA)
}

// open lists the CAs that may be asked at now; if there is none, next is when
// one may be. A patient pass stays with a CA until that keeps failing or time
// runs short.
func (s State) open(now time.Time, t Target, mood Mood) (cas []string, next time.Time) {
	for _, ca := range t.CAs {
		a := s.Record.Orders[ca]
		if mood != Patient || !a.Waits(now) {
			cas = append(cas, ca)
			if mood == Patient {
				break
			}
			continue
		}
		if next.IsZero() || a.Next.Before(next) {
			next = a.Next
		}
		if !a.Elsewhere || a.Failures < stubborn && !s.Urgent(now) {
			break
		}
	}
	return cas, next
}

// Urgent reports whether less than a quarter of the lifetime is left of what is
// in use.
func (s State) Urgent(now time.Time) bool {
	if s.InUse == nil {
		return true
	}
	life := s.InUse.NotAfter.Sub(s.InUse.NotBefore)
	return s.InUse.NotAfter.Sub(now) < life/4
}

// ends is when the service ends if nothing is done; zero if there is none.
func (s State) ends() time.Time {
	if s.InUse == nil {
		return time.Time{}
	}
	return s.InUse.NotAfter
}
