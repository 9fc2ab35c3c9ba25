package acme

import (
	"context"
	"crypto/x509"
	"errors"
	"testing"

	"keypaird/acme/orderlog"
)

// A requestLog is an OrderLog in memory, without limits.
type requestLog []orderlog.Request

func (l *requestLog) Reserve(_ context.Context, _ orderlog.Kind, r orderlog.Request) error {
	*l = append(*l, r)
	return nil
}

func (l *requestLog) Limit(orderlog.Request) error { return nil }

// The limit at a CA does not depend on how long the certificates of other CAs
// live. Each newOrder request is noted once, each finalize request every time.
func TestReserve(t *testing.T) {
	current := &x509.Certificate{}
	for _, foreign := range []bool{false, true} {
		var log requestLog
		j := &job{client: &Client{orderLog: &log}, url: "https://ca.test/order/1", req: Request{Current: current, Foreign: foreign}}
		for _, kind := range []orderlog.Kind{orderlog.NewOrder, orderlog.NewOrder, orderlog.Finalize, orderlog.Finalize} {
			if err := j.reserveRequest(t.Context(), kind); err != nil {
				t.Fatal(err)
			}
		}
		if len(log) != 3 || log[0].Order != "" || log[1].Order != j.url {
			t.Errorf("noted %+v", log)
		}
		if (log[0].Current == nil) != foreign {
			t.Errorf("foreign %v: the current certificate is %v", foreign, log[0].Current)
		}
	}
}

// A limit of our own does not end the order, nor is it the CA's fault.
func TestOwnLimitIsNotTheCAs(t *testing.T) {
	var err error = &unsentError{&orderlog.RateLimitError{CA: "ca"}}
	if over(err) || transient(err) || Elsewhere(err) || Everyone(err) || errors.Unwrap(err) == nil {
		t.Error("taken for the CA's fault")
	}
}
