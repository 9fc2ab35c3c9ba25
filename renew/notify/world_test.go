package notify

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"keypaird/renew"
	"keypaird/renew/keypair"
	"keypaird/renew/keypair/pairtest"
	"keypaird/renew/renewtest"
	"keypaird/renew/testutil"
)

const day = 24 * time.Hour

var must = testutil.Must

// A world is a store, a CA, a proxy and a notifier. CA and proxy succeed unless
// their functions say otherwise.
type world struct {
	store    *keypair.Store
	log      *slog.Logger
	notifier *Notifier
	yield    chan struct{}

	obtain func() error
	deploy func() error
}

func newWorld(t testing.TB, s Sender) *world {
	t.Helper()
	store, err := keypair.Open(filepath.Join(t.TempDir(), "state"))
	must(t, err)
	t.Cleanup(func() { store.Close() })
	w := &world{store: store, log: slog.New(slog.DiscardHandler)}
	w.notifier = &Notifier{Sender: s, Store: store, Records: new(renew.Records), Log: w.log}
	return w
}

// bind binds targets to the world's CA and proxy.
func (w *world) bind(targets []renew.Target) []renew.Target {
	proxy := &renewtest.Server{Name: "relayd", Use: func(changes []renew.Change) []renew.Result {
		var err error
		if w.deploy != nil {
			err = w.deploy()
		}
		return renewtest.All(changes, renew.Result{Outcome: renew.RolledBack, Err: err})
	}}
	targets = slices.Clone(targets)
	for i, t := range targets {
		targets[i].Deploy = []renew.Deployer{proxy}
		if t.External() != nil {
			continue
		}
		targets[i].Issuers = nil
		for _, ca := range t.CAs() {
			targets[i].Issuers = append(targets[i].Issuers, &renewtest.CA{Name: ca, Order: func(context.Context, renew.Order) (*keypair.Pair, error) {
				if w.obtain != nil {
					if err := w.obtain(); err != nil {
						return nil, err
					}
				}
				return pairtest.Issue(t.Names, time.Now(), 90*day)
			}})
		}
	}
	return targets
}

// pass runs one pass and sends what is due.
func (w *world) pass(ctx context.Context, mode renew.Mode, targets ...renew.Target) renew.Report {
	w.notifier.Log, w.notifier.Yield = w.log, w.yield
	p := renew.Pass{Store: w.store, Records: w.notifier.Records, Parallel: 4, Mode: mode, Log: w.log}
	report := p.Run(ctx, w.bind(targets))
	w.notifier.Notify(ctx, &report)
	return report
}

// named returns targets for hosts of their own, all for the deployment relayd.
func named(names ...string) []renew.Target {
	var ts []renew.Target
	for _, name := range names {
		ts = append(ts, renew.Target{Name: name, Names: []string{name + ".test"}, KeyType: "ec256", Issuers: renewtest.CAs("le"), Deploy: renewtest.Servers("relayd")})
	}
	return ts
}

// jitterless is as long as a wait can be with its jitter.
func jitterless(wait time.Duration) time.Duration { return wait + wait/8 + 2*time.Second }

// A recorder is a Sender that keeps what it sends, in one line each, and the last
// notices.
type recorder struct {
	lines []string
	last  []Notice
	err   error
}

func (r *recorder) Send(_ context.Context, notices []Notice) error {
	var names []string
	for _, n := range notices {
		names = append(names, n.Target)
	}
	r.last = notices
	r.lines = append(r.lines, fmt.Sprintf("%s %s: %s", notices[0].Kind, strings.Join(names, " "), notices[0].Error))
	return r.err
}

// wants checks what was sent since the last call.
func (r *recorder) wants(t *testing.T, want ...string) {
	t.Helper()
	if strings.Join(r.lines, "\n") != strings.Join(want, "\n") {
		t.Errorf("sent:\n%s\nwant:\n%s", strings.Join(r.lines, "\n"), strings.Join(want, "\n"))
	}
	r.lines = nil
}

// A senderFunc is a Sender.
type senderFunc func(ctx context.Context, notices []Notice) error

func (f senderFunc) Send(ctx context.Context, notices []Notice) error { return f(ctx, notices) }
