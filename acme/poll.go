package acme

import (
	"context"
	"net/http"
	"strconv"
	"time"
)

const (
	maxRetryAfter = time.Minute // between two looks at one object, whatever the CA asks
	maxPoll       = 5 * time.Second
)

// retryAfter reads a Retry-After header: seconds or a date (RFC 9110, section
// 10.2.3), which is one of the CA's clock if that is told. Nonsense, and what
// lies in the past, is no header.
func retryAfter(h http.Header, now time.Time) time.Time {
	v := h.Get("Retry-After")
	if s, err := strconv.ParseUint(v, 10, 31); err == nil && s > 0 {
		return now.Add(time.Duration(s) * time.Second)
	}
	t, err := http.ParseTime(v)
	if date, e := http.ParseTime(h.Get("Date")); err == nil && e == nil {
		t = now.Add(t.Sub(date))
	}
	if err == nil && t.After(now) {
		return t
	}
	return time.Time{}
}

// A pace says how long to wait before the next look at an object that is not
// ready. Where the CA gives no Retry-After the pace grows with the time already
// waited: a CA that needs milliseconds is asked again after one, and one that
// needs seconds is overshot by about a thirtieth of them.
type pace struct{ since time.Time }

func (p pace) next(now time.Time, a answer) time.Duration {
	if d := a.retryAfter.Sub(now); d > 0 {
		return min(d, maxRetryAfter)
	}
	return min(max(now.Sub(p.since)/16, time.Millisecond), maxPoll)
}

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
