package years

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"keypaird/renew"
	"keypaird/renew/keypair"
	"keypaird/renew/keypair/pairtest"
	"keypaird/renew/lifetime"
	"keypaird/renew/loop"
	"keypaird/renew/notify"
	"keypaird/renew/renewtest"
	"keypaird/renew/testutil"
)

// A brokenCA issues one certificate, and fails a second after each later request.
type brokenCA struct {
	life time.Duration

	mu     sync.Mutex
	leaf   *x509.Certificate
	failed []time.Time
	told   map[notify.Kind]time.Time // when each was told first
}

func (ca *brokenCA) obtain(context.Context, renew.Order) (*keypair.Pair, error) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	if ca.leaf != nil {
		time.Sleep(time.Second)
		ca.failed = append(ca.failed, time.Now())
		return nil, errors.New("no answer")
	}
	pair, err := pairtest.Issue([]string{"a.test"}, time.Now(), ca.life)
	if err == nil {
		ca.leaf = pair.Leaf
	}
	return pair, err
}

func (ca *brokenCA) Send(_ context.Context, notices []notify.Notice) error {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	if _, known := ca.told[notices[0].Kind]; !known {
		ca.told[notices[0].Kind] = time.Now()
	}
	return nil
}

// The operator is told that a certificate was not replaced at the instant when it is
// overdue, not when the backoff of the last failure ends.
func TestToldAtTheInstant(t *testing.T) {
	for _, life := range []time.Duration{30 * time.Second, 5 * time.Minute, 6 * day, 90 * day} {
		t.Run(fmt.Sprint(life), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ca := &brokenCA{life: life, told: map[notify.Kind]time.Time{}}
				ca.live(t, life)
				end := ca.leaf.NotAfter
				overdue := lifetime.Overdue(ca.leaf, lifetime.Due(ca.leaf))
				if late := ca.told[notify.Expiring].Sub(overdue); late < 0 || late > 2*time.Second {
					t.Errorf("told %v after the instant, which is %v before the end", late, end.Sub(overdue))
				}
				if life == 30*time.Second {
					if first := end.Sub(ca.failed[0]); first != 14*time.Second {
						t.Errorf("the first failure is %v before the end, want 14s", first)
					}
				}
				for i, at := range ca.failed { // else nothing would be proven
					if wait := at.Sub(overdue).Abs(); wait <= 2*time.Second {
						t.Errorf("failure %d is %v from the instant", i, wait)
					}
				}
			})
		})
	}
}

// live has a daemon at work for a while.
func (ca *brokenCA) live(t *testing.T, length time.Duration) {
	t.Helper()
	store, err := keypair.Open(filepath.Join(testutil.Memory(t), "state"))
	testutil.Must(t, err)
	defer store.Close()
	records, log := new(renew.Records), slog.New(slog.DiscardHandler)
	notifier := &notify.Notifier{Sender: ca, Store: store, Records: records, Log: log}
	pass := &renew.Pass{Store: store, Records: records, Log: log}
	targets := []renew.Target{{
		Name: "a", Names: []string{"a.test"}, KeyType: "ec256",
		Issuers: []renew.Issuer{&renewtest.CA{Name: "private", Order: ca.obtain}}, Deploy: renewtest.Servers("relayd"),
	}}
	ctx, stop := context.WithTimeout(t.Context(), length)
	defer stop()
	runner := &loop.Loop{
		Log: log, Schedule: func(after time.Time) time.Time { return after.Add(day) },
		RunPass: func(ctx context.Context, _ map[string]bool) map[string]time.Time {
			r := pass.Run(ctx, targets)
			notifier.Notify(ctx, &r)
			return r.Next
		},
	}
	runner.Run(ctx)
}
