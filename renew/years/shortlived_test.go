package years

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"keypaird/acme/orderlog"
	"keypaird/renew"
	"keypaird/renew/keypair"
	"keypaird/renew/keypair/pairtest"
	"keypaird/renew/testutil"
)

// A privateCA issues certificates that live for minutes, as often as the order log
// allows, to a proxy that serves them at once.
type privateCA struct {
	logs     orderLogs
	life     time.Duration
	backdate time.Duration // the certificate is valid from so long before it was issued

	mu     sync.Mutex
	issued int
	serves *x509.Certificate
}

func (ca *privateCA) Obtain(ctx context.Context, o renew.Order) (*keypair.Pair, error) {
	for _, kind := range []orderlog.Kind{orderlog.NewOrder, orderlog.Finalize} {
		if err := ca.logs.reserve(ctx, o, kind); err != nil {
			return nil, err
		}
	}
	ca.mu.Lock()
	ca.issued++
	ca.mu.Unlock()
	return pairtest.Issue(o.Target.Names, time.Now().Add(-ca.backdate), ca.backdate+ca.life)
}

func (ca *privateCA) ForgetOrder(renew.Target, *x509.Certificate) error { return nil }

func (ca *privateCA) Deploy(_ context.Context, _ string, changes []renew.Change) ([]renew.Outcome, error) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	ca.serves = changes[0].New.Leaf
	return nil, nil
}

// expired reports whether a peer refuses what is served.
func (ca *privateCA) expired() bool {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	return ca.serves == nil || !time.Now().Before(ca.serves.NotAfter)
}

// Certificates of a private CA that live for minutes are renewed at half their life
// for a day and longer, whatever the limit of orders: Decide and the order log
// follow one rule. step-ca backdates its certificates by a minute.
func TestShortLived(t *testing.T) {
	for _, tt := range []struct{ life, backdate time.Duration }{
		{5 * time.Minute, 0}, {5 * time.Minute, time.Minute},
		{30 * time.Minute, 0}, {30 * time.Minute, time.Minute},
		{59 * time.Minute, 0}, {59 * time.Minute, time.Minute},
	} {
		t.Run(fmt.Sprintf("%v backdated %v", tt.life, tt.backdate), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := testutil.Memory(t)
				store, err := keypair.Open(filepath.Join(dir, "state"))
				testutil.Must(t, err)
				defer store.Close()
				ca := &privateCA{logs: orderLogs{dir: filepath.Join(dir, "accounts")}, life: tt.life, backdate: tt.backdate}
				log := slog.New(slog.DiscardHandler)
				pass := &renew.Pass{Store: store, Obtainer: ca, Deployer: ca, Limiter: &ca.logs, Log: log}
				targets := []renew.Target{{Name: "a", Names: []string{"a.test"}, KeyType: "ec256", CAs: []string{"private"}, Deploy: []string{"relayd"}}}
				failed := 0
				loop := &renew.Loop{
					Log: log, Schedule: func(after time.Time) time.Time { return after.Add(day) },
					RunPass: func(ctx context.Context, _ map[string]bool) map[string]time.Time {
						r := pass.Run(ctx, targets)
						if ctx.Err() == nil { // an interrupt is not a failure
							failed += len(r.Errs)
						}
						return r.Next
					},
				}
				ctx, stop := context.WithTimeout(t.Context(), 26*time.Hour)
				defer stop()
				var daemon sync.WaitGroup
				daemon.Go(func() { loop.Run(ctx) })
				expired, first := 0, time.Duration(0)
				began := time.Now()
				for time.Sleep(time.Second); ctx.Err() == nil; time.Sleep(10 * time.Second) {
					if ca.expired() {
						if expired++; expired == 1 {
							first = time.Since(began)
						}
					}
				}
				daemon.Wait()
				half := (tt.life+tt.backdate)/2 - tt.backdate
				if expired > 0 || failed > 0 {
					t.Errorf("expired %v of 26h, first after %v; %d orders failed", time.Duration(expired)*10*time.Second, first, failed)
				}
				if want := int(26 * time.Hour / half); ca.issued < want-want/50-1 || ca.issued > want+1 {
					t.Errorf("%d certificates, want one every %v: %d", ca.issued, half, want)
				}
			})
		})
	}
}
