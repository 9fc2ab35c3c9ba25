package acme

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestDifference(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name string
		date time.Duration // of the CA, from now
		took time.Duration // until the answer was there, from now
		want time.Duration
	}{
		{"the same second", 0, 100 * time.Millisecond, 0},
		{"the second before, cut off", -900 * time.Millisecond, 10 * time.Millisecond, 0},
		{"an answer that took long", 3 * time.Second, 90 * time.Second, 0},
		{"a laptop that slept meanwhile", 0, 9 * time.Hour, 0},
		{"ahead", time.Hour, time.Second, time.Hour - time.Second},
		{"behind", -time.Hour, time.Second, -time.Hour + time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := difference(now.Add(tt.date), now, now.Add(tt.took)); got != tt.want {
				t.Errorf("difference = %v, want %v", got, tt.want)
			}
		})
	}
}

// Clocks that are apart are said once, and again only once they have agreed.
func TestClock(t *testing.T) {
	var log bytes.Buffer
	c := NewClient(Options{CA: CA{Name: "ca"}, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if ahead, known := c.Clock(); known {
		t.Errorf("Clock = %v before any answer", ahead)
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	warnings := 0
	for _, tt := range []struct {
		name  string
		date  string
		ahead time.Duration
		warn  bool
	}{
		{"agrees", "Sun, 01 Mar 2026 12:00:00 GMT", 0, false},
		{"a little ahead", "Sun, 01 Mar 2026 12:04:00 GMT", 4 * time.Minute, false},
		{"ahead", "Sun, 01 Mar 2026 12:06:00 GMT", 6 * time.Minute, true},
		{"no date", "", 6 * time.Minute, false},
		{"no date that can be read", "yesterday", 6 * time.Minute, false},
		{"behind", "Sun, 01 Mar 2026 10:59:59 GMT", -time.Hour, false},
		{"agrees again", "Sun, 01 Mar 2026 12:00:00 GMT", 0, false},
		{"behind again", "Sun, 01 Mar 2026 10:59:59 GMT", -time.Hour, true},
	} {
		h := http.Header{}
		if tt.date != "" {
			h.Set("Date", tt.date)
		}
		c.watch.compare(h, now, now)
		if ahead, known := c.Clock(); ahead != tt.ahead || !known {
			t.Errorf("%s: Clock = %v, %v; want %v", tt.name, ahead, known, tt.ahead)
		}
		if tt.warn {
			warnings++
		}
		if got := strings.Count(log.String(), `level=WARN msg="clock differs" ca=ca by=`); got != warnings {
			t.Errorf("%s: %d warnings, want %d: %s", tt.name, got, warnings, log.String())
		}
	}
}

// dialTimeout is that of net/http. It goes on dialling when nobody waits for it.
const dialTimeout = 30 * time.Second

// silent is a client of a CA that does not answer at all.
func silent(t *testing.T) *Client {
	t.Helper()
	c := NewClient(Options{CA: CA{Name: "ca", Directory: "https://ca.test/dir"}, Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	c.transport.Proxy = nil
	c.transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	return c
}

// A question when to renew is given up after twenty seconds, and asked again by
// the caller's count.
func TestSlowAdvice(t *testing.T) {
	c := silent(t)
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		_, err := c.RenewalInfo(t.Context(), &x509.Certificate{AuthorityKeyId: []byte{1}, SerialNumber: big.NewInt(1)})
		var a *RenewalInfoError
		if !errors.As(err, &a) || !a.Temporary || !a.Next.IsZero() {
			t.Errorf("error = %#v, want a temporary RenewalInfoError", err)
		}
		if took := time.Since(began); took != 20*time.Second {
			t.Errorf("took %v, want 20s", took)
		}
		<-time.After(dialTimeout)
	})
}

// A CA that says nothing is given up, too, after three tries.
func TestSilence(t *testing.T) {
	c := silent(t)
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		_, err := c.Obtain(t.Context(), Request{Names: []string{"a.test"}, Pending: t.TempDir()})
		var u *UnreachableError
		if !errors.As(err, &u) || !CAWide(err) {
			t.Errorf("error = %v, want an UnreachableError", err)
		}
		if took := time.Since(began); took > 5*time.Minute {
			t.Errorf("took %v", took)
		}
		<-time.After(dialTimeout)
	})
}

func TestNoAdviceWithoutAnIdentity(t *testing.T) {
	var a *RenewalInfoError
	_, err := silent(t).RenewalInfo(t.Context(), &x509.Certificate{SerialNumber: big.NewInt(1)})
	if !errors.As(err, &a) || a.Temporary || a.Next.IsZero() {
		t.Errorf("error = %#v, want a lasting RenewalInfoError", err)
	}
}
