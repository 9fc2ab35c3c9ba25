package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/engine"
	"keypaird/renew"
	"keypaird/renew/durable"
	"keypaird/renew/notify"
	"keypaird/renew/status"
)

// Options are what a daemon needs of the program that it is part of.
type Options struct {
	Load    func() (*config.Config, error)               // reads the configuration
	Engine  func(*config.Config) (*engine.Engine, error) // makes the parts that it describes
	Metrics *status.Metrics
	Log     *slog.Logger
}

// stopLimit is how long the daemon takes at most to end.
const stopLimit = 9500 * time.Millisecond

// A Daemon keeps targets alive. Its loop makes one pass after another with the
// parts that the configuration was turned into. A reload makes new ones and offers
// them; they are taken over between two passes.
type Daemon struct {
	o       Options
	log     *slog.Logger
	manager *serviceManager
	spread  time.Duration
	wanted  chan struct{} // somebody wants all targets to be looked at

	// Owned by the loop.
	pass     renew.Pass
	records  renew.Records
	notifier notify.Notifier // its Sender is nil without a [notify] command
	outlook  outlook
	trouble  error // why the last pass could not be made
	tries    int   // to make one, since

	changing sync.Mutex // held to offer, and to take over
	offered  *offer

	inUse sync.RWMutex // held to use what follows; written by the loop
	offer

	mu      sync.Mutex
	yield   func()          // has the pass that runs end early; nil: none runs
	refused string          // why the configuration on disk is not the one in use
	refusal *status.Refusal // likewise, for the page; nil: it is
	said    string          // to the service manager
}

// New returns a daemon that has yet to run.
func New(o Options) *Daemon {
	return &Daemon{
		o: o, log: o.Log, manager: newServiceManager(o.Log), spread: rand.N(config.MaxSpread), wanted: make(chan struct{}, 1),
		outlook: outlook{next: map[string]time.Time{}, failing: map[string]bool{}},
	}
}

// Run returns when ctx ends, and all that was begun has.
func (k *Daemon) Run(ctx context.Context, signals <-chan os.Signal) error {
	first, err := k.read(ctx)
	if err != nil {
		return err
	}
	alone, err := durable.TryLock(filepath.Join(first.parts.Config.State, "daemon"))
	if err != nil {
		first.drop(nil)
		return otherDaemon(first.parts.Config.State, err)
	}
	defer alone.Release()
	k.take(first)
	k.answer(ctx)
	n := len(first.parts.Targets)
	k.manager.ready(k.note(certificates(n) + ", looking at all"))
	k.log.Info("started", "targets", n, "state", first.parts.Config.State, "schedule", first.parts.Config.Schedule)
	loop := renew.Loop{Look: k.look, Schedule: k.schedule, Now: k.wanted, Beat: k.manager.alive, Log: k.log}
	var work sync.WaitGroup
	ended := make(chan struct{})
	work.Go(func() {
		defer close(ended)
		loop.Run(ctx)
	})
	interval, err := watchdogInterval()
	if err != nil {
		k.log.Warn("no watchdog", "err", err)
	}
	work.Go(func() { k.manager.watchdog(ctx, interval) })
	work.Go(func() { k.watchFiles(ctx, watchEvery) })
	if err := k.attend(ctx, signals, ended); err != nil {
		return err
	}
	work.Wait()
	k.end()
	k.log.Info("stopped")
	return nil
}

// attend hears signals until the loop has ended, or takes too long to.
func (k *Daemon) attend(ctx context.Context, signals <-chan os.Signal, ended <-chan struct{}) error {
	stop := ctx.Done()
	var late <-chan time.Time
	for {
		select {
		case <-ended:
			return nil
		case <-late:
			return errLate
		case <-stop:
			k.log.Info("stopping")
			k.manager.tell("STOPPING=1", "STATUS=stopping")
			stop, late = nil, time.After(stopLimit)
		case s := <-signals:
			if stop == nil {
				continue
			}
			if s == syscall.SIGHUP {
				k.reload(ctx)
			} else {
				k.log.Info("looking at every target")
				k.wake()
			}
		}
	}
}

// answer has tokens served between orders, too, where the service manager holds
// the socket open: who connects is let in, and must not wait for the next order.
func (k *Daemon) answer(ctx context.Context) {
	if !k.parts.SocketActivated() {
		return
	}
	if err := k.parts.HTTP01.Start(ctx); err != nil {
		k.log.Warn("http-01 not answered", "err", err, "remedy", renew.Remedy(err))
	}
}

// wake has all targets looked at.
func (k *Daemon) wake() {
	select {
	case k.wanted <- struct{}{}:
	default: // that is wanted already
	}
}

func (k *Daemon) schedule(after time.Time) time.Time {
	k.inUse.RLock()
	defer k.inUse.RUnlock()
	return k.times.Next(after)
}

// end lets go of everything.
func (k *Daemon) end() {
	k.changing.Lock()
	defer k.changing.Unlock()
	if k.offered != nil {
		k.offered.drop(k.page)
		k.offered = nil
	}
	k.inUse.Lock()
	defer k.inUse.Unlock()
	k.offer.drop(nil)
}

func certificates(n int) string {
	return fmt.Sprintf("%d %s", n, plural(n, "certificate", "certificates"))
}
