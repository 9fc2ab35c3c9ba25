package transport

import (
	"net/http"
	"strconv"
	"time"
)

// retryAfter reads a Retry-After header: seconds or a date (RFC 9110, section
// 10.2.3), which is by the CA's clock if Date is there. It is zero for a header
// that is invalid or in the past.
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
