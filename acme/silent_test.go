package acme

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"keypaird/acme/ari"
)

// dialTimeout is that of net/http, which goes on dialling after a request was given up.
const dialTimeout = 30 * time.Second

// silent returns a client of a CA that does not answer.
func silent(t *testing.T) *Client {
	t.Helper()
	c := NewClient(Options{CA: CA{Name: "ca", Directory: "https://ca.test/dir"}, Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	c.server.HTTP.Proxy = nil
	c.server.HTTP.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	return c
}

// A request for renewal information is given up after twenty seconds, and the caller
// decides when it is repeated.
func TestSlowRenewalInfo(t *testing.T) {
	c := silent(t)
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		_, err := c.RenewalInfo(t.Context(), &x509.Certificate{AuthorityKeyId: []byte{1}, SerialNumber: big.NewInt(1)})
		var a *ari.Error
		if !errors.As(err, &a) || !a.Transient || !a.Next.IsZero() {
			t.Errorf("error = %#v, want a temporary ari.Error", err)
		}
		if took := time.Since(began); took != 20*time.Second {
			t.Errorf("took %v, want 20s", took)
		}
		<-time.After(dialTimeout)
	})
}

// A CA that does not answer an order is given up after three tries.
func TestNoAnswer(t *testing.T) {
	c := silent(t)
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		_, err := c.Obtain(t.Context(), Request{Names: []string{"a.test"}, Pending: OrderDir(t.TempDir())})
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

func TestRenewalInfoWithoutCertID(t *testing.T) {
	var a *ari.Error
	_, err := silent(t).RenewalInfo(t.Context(), &x509.Certificate{SerialNumber: big.NewInt(1)})
	if !errors.As(err, &a) || a.Transient || a.Next.IsZero() {
		t.Errorf("error = %#v, want a lasting ari.Error", err)
	}
}
