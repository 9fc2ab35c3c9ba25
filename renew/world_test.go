package renew

import (
	"context"
	"crypto/x509"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"keypaird/renew/keypair"
	"keypaird/renew/keypair/pairtest"
	"keypaird/renew/testutil"
)

// A world is a store, a CA and a proxy. Both do as they are told by their
// functions, and well where there is none.
type world struct {
	store *keypair.Store
	log   *slog.Logger

	mu        sync.Mutex
	obtained  []string   // targets, in the order they were asked for
	asked     []string   // CAs, likewise
	deployed  [][]Change // each call
	forgotten []string   // targets, with the serial number of what they have

	obtain  func(ctx context.Context, t Target) error
	at      func(ca string) error
	deploy  func(ctx context.Context, deployment string, changes []Change) ([]Outcome, error)
	suggest func(ca string, leaf *x509.Certificate) (SuggestedWindow, error) // nil: no CA is asked

	yield chan struct{}
	limit func(ca string) Limit // nil: there is none
}

func (w *world) FetchRenewalInfo(_ context.Context, ca string, leaf *x509.Certificate) (SuggestedWindow, error) {
	return w.suggest(ca, leaf)
}

func (w *world) Limit(_ Target, ca string, _ *x509.Certificate) Limit {
	if w.limit == nil {
		return Limit{}
	}
	return w.limit(ca)
}

func newWorld(t testing.TB) *world {
	t.Helper()
	store, err := keypair.Open(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return &world{store: store, log: slog.New(slog.DiscardHandler)}
}

var (
	must     = testutil.Must
	issue    = pairtest.Issue
	issueFor = pairtest.IssueFor
)

func (w *world) Obtain(ctx context.Context, o Order) (*keypair.Pair, error) {
	t := o.Target
	w.mu.Lock()
	w.obtained, w.asked = append(w.obtained, t.Name), append(w.asked, o.CA)
	w.mu.Unlock()
	o.Step("ordering")
	if w.obtain != nil {
		if err := w.obtain(ctx, t); err != nil {
			return nil, err
		}
	}
	if w.at != nil {
		if err := w.at(o.CA); err != nil {
			return nil, err
		}
	}
	return issue(t.Names, time.Now(), 90*day)
}

func (w *world) ForgetOrder(t Target, have *x509.Certificate) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forgotten = append(w.forgotten, t.Name+" "+have.SerialNumber.String())
	return nil
}

func (w *world) Deploy(ctx context.Context, deployment string, changes []Change) ([]Outcome, error) {
	w.mu.Lock()
	w.deployed = append(w.deployed, changes)
	w.mu.Unlock()
	if w.deploy != nil {
		return w.deploy(ctx, deployment, changes)
	}
	return nil, nil
}

// pass is one look at targets.
func (w *world) pass(ctx context.Context, mode Mode, targets ...Target) ([]Done, []error) {
	r := w.report(ctx, mode, targets...)
	return r.Done, r.Errs
}

func (w *world) report(ctx context.Context, mode Mode, targets ...Target) Report {
	p := Pass{Store: w.store, Obtainer: w, Deployer: w, Limiter: w, Parallel: 4, Mode: mode, Yield: w.yield, Log: w.log}
	if w.suggest != nil {
		p.RenewalInfo = w
	}
	return p.Run(ctx, targets)
}

// counts are how often the CA and the proxy were asked so far.
func (w *world) counts() [2]int { return [2]int{len(w.obtained), len(w.deployed)} }

// named are targets for hosts of their own, all for the deployment relayd.
func named(names ...string) []Target {
	var ts []Target
	for _, name := range names {
		ts = append(ts, Target{Name: name, Names: []string{name + ".test"}, KeyType: "ec256", CAs: []string{"le"}, Deploy: []string{"relayd"}})
	}
	return ts
}

// wantErrors checks that each error is one line with its text.
func wantErrors(t *testing.T, errs []error, texts ...string) {
	t.Helper()
	if len(errs) != len(texts) {
		t.Fatalf("errors = %v, want %q", errs, texts)
	}
	for i, text := range texts {
		if got := errs[i].Error(); !strings.Contains(got, text) || strings.Contains(got, "\n") {
			t.Errorf("error %d = %q, want one line with %q", i, got, text)
		}
	}
}

// threeInTheMorning is the window "* 3 * * *".
func threeInTheMorning(now time.Time) time.Time {
	if now.Hour() == 3 {
		return time.Time{}
	}
	opens := time.Date(now.Year(), now.Month(), now.Day(), 3, 0, 0, 0, now.Location())
	if !opens.After(now) {
		opens = opens.AddDate(0, 0, 1)
	}
	return opens
}
