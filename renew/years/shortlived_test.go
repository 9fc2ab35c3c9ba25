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
	"keypaird/renew/loop"
	"keypaird/renew/renewtest"
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

func (ca *privateCA) obtain(ctx context.Context, o renew.Order) (*keypair.Pair, error) {
	for _, kind := range []orderlog.Kind{orderlog.NewOrder, orderlog.Finalize} {
		if err := ca.logs.reserve(ctx, "private", privateNames, o, kind); err != nil {
			return nil, err
		}
	}
	ca.mu.Lock()
	ca.issued++
	ca.mu.Unlock()
	return pairtest.Issue(privateNames, time.Now().Add(-ca.backdate), ca.backdate+ca.life)
}

var privateNames = []string{"a.test"}

// target is one of the CA's.
func (ca *privateCA) target() renew.Target {
	return renew.Target{
		Name: "a", Names: privateNames, KeyType: "ec256",
		Issuers: []renew.Issuer{&renewtest.CA{Name: "private", Order: ca.obtain, Held: func(current *x509.Certificate) renew.Limit {
			return ca.logs.limit("private", privateNames, current)
		}}},
		Deploy: []renew.Deployer{&renewtest.Server{Name: "relayd", Use: ca.deploy}},
	}
}

func (ca *privateCA) deploy(changes []renew.Change) []renew.Result {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	ca.serves = changes[0].New.Leaf
	return make([]renew.Result, len(changes))
}

// expired reports whether a peer refuses what is served.
func (ca *privateCA) expired() bool {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	return ca.serves == nil || !time.Now().Before(ca.serves.NotAfter)
}

// Certificates of a private CA that live for minutes are renewed at half their life
// for a day and longer, whatever the limit of orders: Decide and the order log
// follow one rule. step-ca backdates its certificates by a minute. "make check" has
// each life with and without that; with the race detector, the shortest is left out.
func TestShortLived(t *testing.T) {
	type row struct{ life, backdate time.Duration }
	rows := []row{{5 * time.Minute, time.Minute}, {30 * time.Minute, 0}, {59 * time.Minute, time.Minute}}
	if testutil.Race {
		rows = rows[1:]
	}
	if testutil.Exhaustive() {
		rows = append(rows, row{5 * time.Minute, 0}, row{30 * time.Minute, time.Minute}, row{59 * time.Minute, 0})
	}
	for _, tt := range rows {
		t.Run(fmt.Sprintf("%v backdated %v", tt.life, tt.backdate), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := testutil.Memory(t)
				store, err := keypair.Open(filepath.Join(dir, "state"))
				testutil.Must(t, err)
				defer store.Close()
				ca := &privateCA{logs: orderLogs{dir: filepath.Join(dir, "accounts")}, life: tt.life, backdate: tt.backdate}
				log := slog.New(slog.DiscardHandler)
				pass := &renew.Pass{Store: store, Log: log}
				targets := []renew.Target{ca.target()}
				failed := 0
				runner := &loop.Loop{
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
				daemon.Go(func() { runner.Run(ctx) })
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
