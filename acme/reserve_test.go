package acme

import (
	"context"
	"crypto/x509"
	"errors"
	"testing"

	"keypaird/acme/orderlog"
	"keypaird/acme/transport"
	"keypaird/renew/keypair"
)

// A requestLog is an OrderLog in memory, without limits.
type requestLog []orderlog.Request

func (l *requestLog) Reserve(_ context.Context, _ orderlog.Kind, r orderlog.Request) error {
	*l = append(*l, r)
	return nil
}

func (l *requestLog) Limit(r orderlog.Request) error {
	*l = append(*l, r)
	return nil
}

func (l *requestLog) Finalized(string) bool { return false }

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
	var err error = &transport.Error{Err: &orderlog.RateLimitError{CA: "ca"}}
	if final(err) || transient(err) || TryNextCA(err) || CAWide(err) || errors.Unwrap(err) == nil {
		t.Error("taken for the CA's fault")
	}
}

// An order under way is resumed, and so does not count as another one.
func TestOwnLimit(t *testing.T) {
	key, err := keypair.NewKey(t.Context(), "ec256")
	if err != nil {
		t.Fatal(err)
	}
	pem, err := keypair.MarshalKey(key)
	if err != nil {
		t.Fatal(err)
	}
	current := &x509.Certificate{PublicKey: key.Public(), Raw: []byte("current")}
	names, url := []string{"a.test"}, "https://ca.test/order/1"
	for _, tt := range []struct {
		name   string
		order  *pendingOrder
		resume bool
		force  bool
	}{
		{"none", nil, false, false},
		{"under way", &pendingOrder{URL: url, Names: names}, true, false},
		{"forced when it was placed", &pendingOrder{URL: url, Names: names, Forced: true}, true, true},
		{"for other names", &pendingOrder{URL: url, Names: []string{"b.test"}, Forced: true}, false, false},
		{"not yet placed", &pendingOrder{Names: names, Forced: true}, false, false},
		{"its certificate is stored", &pendingOrder{URL: url, Names: names, Forced: true, Key: string(pem)}, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := OrderDir(t.TempDir())
			if tt.order != nil {
				if err := tt.order.save(dir); err != nil {
					t.Fatal(err)
				}
			}
			var log requestLog
			if err := OwnLimit(&log, dir, orderlog.Request{Names: names, Current: current}); err != nil {
				t.Fatal(err)
			}
			if got := log[0]; (got.Order == url) != tt.resume || got.Force != tt.force {
				t.Errorf("asked for %+v, want the order %v, forced %v", got, tt.resume, tt.force)
			}
		})
	}
}
