package orderlog

import (
	"crypto/x509"
	"fmt"
	"slices"
	"time"
)

// The limits. Those of the CAs are higher: Let's Encrypt issues five certificates
// for one exact set of names in a week.
const (
	orderPeriod = 3 * time.Hour // for all names of the account together

	dayPeriod  = 24 * time.Hour
	maxDay     = 2 // certificates for one exact set of names
	weekPeriod = 7 * 24 * time.Hour
	maxWeek    = 4

	// Or so many in a lifetime of the current one, if that is more. A certificate is
	// renewed at half its life, which comes earlier if the CA backdates it: step-ca
	// does by a minute, a sixth of a life of five minutes.
	perLife = 3
	minLife = time.Minute // of a certificate, to divide by
	maxLife = 100 * 365 * 24 * time.Hour
)

// A RateLimitError reports a request that was not sent to the CA: it would exceed
// our own limit, which is lower than the CA's.
type RateLimitError struct {
	CA      string
	Target  string // of the request
	Why     string
	Next    time.Time // when it may be sent
	Account bool      // the limit is that of all names of the account together
}

func (e *RateLimitError) Error() string { return e.CA + ": own limit reached: " + e.Why }

// Earliest returns when another try may succeed.
func (e *RateLimitError) Earliest() time.Time { return e.Next }

// Remedy says what the operator can do about it.
func (e *RateLimitError) Remedy() string {
	at := e.Next.UTC().Format(time.RFC3339)
	if e.Account {
		return "wait until " + at + ", or name a second CA in sign_with"
	}
	return "wait until " + at + " and find out why these names were ordered so often; to order now: keypaird issue -force " + e.Target
}

// exceeded returns the limit that a request would exceed, the one that ends last of
// several; nil if there is none.
func (l *Log) exceeded(now time.Time, kind Kind, r Request) error {
	var reached *RateLimitError
	check := func(times []time.Time, period time.Duration, most int, account bool, why string) {
		next, full := reachedAt(now, times, period, most)
		if full && (reached == nil || next.After(reached.Next)) {
			reached = &RateLimitError{CA: l.ca, Target: r.Target, Next: next, Account: account, Why: fmt.Sprintf(why, most)}
		}
	}
	if kind == NewOrder {
		check(l.events.orders, orderPeriod, l.maxOrders, true, "%d orders in the last 3 hours")
	}
	if !r.Force {
		day, week := allowed(r.Current)
		times := l.events.certificates(hashNames(r.Names), hashURL(r.Order))
		check(times, dayPeriod, day, false, "%d certificates for exactly these names in the last 24 hours")
		check(times, weekPeriod, week, false, "%d certificates for exactly these names in the last 7 days")
	}
	if reached == nil {
		return nil
	}
	return reached
}

// reachedAt reports whether there were most or more events in the period before
// now, and when there will be fewer. Events in the future count too: the clock was
// set back.
func reachedAt(now time.Time, times []time.Time, period time.Duration, most int) (next time.Time, full bool) {
	counts := func(t time.Time) bool { return now.Sub(t).Abs() < period }
	n := 0
	for _, t := range times {
		if counts(t) {
			n++
		}
	}
	if n < most {
		return time.Time{}, false
	}
	counted := slices.DeleteFunc(slices.Clone(times), func(t time.Time) bool { return !counts(t) })
	slices.SortFunc(counted, time.Time.Compare)
	return counted[len(counted)-most].Add(period), true
}

// allowed returns how many certificates for one set of names may be issued in a
// day and in a week: those of private CAs may live for minutes.
func allowed(current *x509.Certificate) (day, week int) {
	if current == nil || !current.NotAfter.After(current.NotBefore) {
		return maxDay, maxWeek
	}
	life := max(min(current.NotAfter.Sub(current.NotBefore), maxLife)+time.Second, minLife) // RFC 5280, section 4.1.2.5: both ends included
	most := func(period time.Duration) int { return int((perLife*period + life - 1) / life) }
	return max(maxDay, most(dayPeriod)), max(maxWeek, most(weekPeriod))
}
