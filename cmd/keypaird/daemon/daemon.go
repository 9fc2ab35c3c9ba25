package daemon

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"sync"
	"syscall"
	"time"

	"keypaird/acme"
	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/engine"
	"keypaird/cmd/keypaird/listener"
	"keypaird/cmd/keypaird/node"
	"keypaird/cmd/keypaird/schedule"
	"keypaird/cmd/keypaird/version"
	"keypaird/renew"
	"keypaird/renew/confine"
	"keypaird/renew/loop"
	"keypaird/renew/notify"
	"keypaird/renew/process"
	"keypaird/renew/rights"
	"keypaird/renew/status"
)

// Options configure a Daemon.
type Options struct {
	Config config.Options
	Log    *slog.Logger
	// Runner starts programs for this process, and notifies the service manager, while
	// the process gives up all rights that its first configuration does not need; nil: it
	// keeps them, and does both itself.
	Runner *process.Runner
}

// stopTimeout is how long the daemon waits for the last pass when it stops.
const stopTimeout = 9500 * time.Millisecond

// A Daemon keeps the certificates of all targets valid. Its loop makes one pass
// after another. A reload loads the configuration again, and the loop applies it
// between two passes.
type Daemon struct {
	options   Options
	log       *slog.Logger
	manager   *serviceManager
	metrics   *status.Metrics
	listener  *listener.Process // serves the status page, and what CAs ask for
	spread    time.Duration
	requested chan map[string]bool // holds the request for a pass over some targets, nil: all

	// Owned by the loop.
	pass      *renew.Pass // of the current engine
	records   renew.Records
	notifier  notify.Notifier // remembers what it sent; its Sender is nil without a [notify] command
	summary   summary
	passErr   error        // why the last pass could not be made
	attempts  int          // that failed since a pass was made
	answering *passRequest // that the pass is for; nil: for none

	// The loop replaces current with both locks held. Other goroutines hold one of them.
	pendingMu sync.Mutex
	pending   *generation // loaded and not applied yet; nil: none
	currentMu sync.RWMutex
	current   *generation

	lockMu   sync.Mutex
	released time.Time // the lock file was last changed by this daemon

	rights *confine.Rights         // that were not given up; nil: all
	again  context.CancelCauseFunc // ends Run with ErrAgain

	mu           sync.Mutex
	passRequests []*passRequest // in their order
	yield        func()         // ends the running pass early; nil: none runs
	rejected     *rejection     // of the configuration on disk; nil if it is in use
	lastStatus   string         // last sent to the service manager
}

// New returns a daemon that does not run yet.
func New(o Options) *Daemon {
	send := Notify
	if o.Runner != nil {
		send = o.Runner.Notify
		rights.Keep(func() error { return errors.New("sockets are opened after the configuration was read") })
	}
	d := &Daemon{
		options: o, log: o.Log, manager: newServiceManager(o.Log, send), spread: rand.N(schedule.MaxSpread), requested: make(chan map[string]bool, 1),
		metrics: status.NewMetrics(version.Program().Version), listener: &listener.Process{Log: o.Log},
		summary: summary{next: map[string]time.Time{}, failing: map[string]bool{}},
	}
	d.notifier.Records, d.notifier.Log = &d.records, o.Log
	return d
}

// newEngine makes the parts that a configuration describes. The first of them says which
// rights stay, before the status page listens.
func (d *Daemon) newEngine(cfg *config.Config) (*engine.Engine, error) {
	if d.options.Runner != nil && d.rights == nil {
		rights.Keep(func() error {
			d.rights = engine.GiveUp(cfg, d.log)
			return nil
		})
	}
	observe := func(x acme.Exchange) { d.metrics.Request(x.CA, x.Resource, x.Status, x.Took) }
	return node.Engine(cfg, engine.Options{Log: d.log, Observe: observe, Listener: d.listener}, node.Daemon)
}

// ErrAgain says that the daemon needs rights that its process has given up: a new process
// has them.
var ErrAgain = errors.New("other rights are needed")

// Run returns when ctx has ended and everything that it started has stopped, or with
// ErrAgain.
func (d *Daemon) Run(ctx context.Context, signals <-chan os.Signal) error {
	ctx, d.again = context.WithCancelCause(ctx)
	defer d.again(nil)
	first, err := d.load(ctx)
	if err != nil {
		return err
	}
	cfg := first.engine.Config
	lock, err := lockDaemon(cfg.State)
	if err != nil {
		first.close()
		return err
	}
	defer lock.Release()
	_ = rights.Drop() // it does not fail
	d.apply(ctx, first)
	d.log.Info("started", "targets", len(first.engine.Targets), "state", cfg.State, "schedule", cfg.Schedule)
	runner := loop.Loop{RunPass: d.runPass, Schedule: d.nextFullPass, Now: d.requested, Alive: d.manager.alive, Log: d.log}
	var work sync.WaitGroup
	ended := make(chan struct{})
	work.Go(func() {
		defer close(ended)
		runner.Run(ctx)
	})
	interval, err := watchdogInterval()
	if err != nil {
		d.log.Warn("watchdog disabled", "err", err)
	}
	work.Go(func() { d.manager.watchdog(ctx, interval) })
	work.Go(func() { d.watchFiles(ctx, watchEvery) })
	if err := d.handleSignals(ctx, signals, ended); err != nil {
		return err
	}
	work.Wait()
	d.close()
	if errors.Is(context.Cause(ctx), ErrAgain) {
		return ErrAgain
	}
	d.log.Info("stopped")
	return nil
}

// hasRights reports whether this process has the rights that a configuration needs.
func (d *Daemon) hasRights(cfg *config.Config) bool {
	return d.rights == nil || d.rights.Covers(engine.Rights(cfg))
}

// lacksRights reports whether a configuration needs rights that this process has given up.
// Then Run ends, if the next process can begin.
func (d *Daemon) lacksRights(cfg *config.Config) bool {
	if d.hasRights(cfg) {
		return false
	}
	if _, err := config.Load(d.options.Config); err != nil {
		d.log.Warn("some directories cannot be written to before the configuration is correct", "err", err)
		return false
	}
	d.log.Info("starting a new process, which may write to other directories")
	d.again(ErrAgain)
	return true
}

// handleSignals returns when the loop has ended, with an error if that takes too
// long after ctx ended.
func (d *Daemon) handleSignals(ctx context.Context, signals <-chan os.Signal, ended <-chan struct{}) error {
	stop := ctx.Done()
	var late <-chan time.Time
	for {
		select {
		case <-ended:
			return nil
		case <-late:
			return errStopTimeout
		case <-stop:
			if !errors.Is(context.Cause(ctx), ErrAgain) {
				d.log.Info("stopping")
				d.manager.notify("STOPPING=1", "STATUS=stopping")
			}
			stop, late = nil, time.After(stopTimeout)
		case s := <-signals:
			if stop == nil {
				continue
			}
			if s == syscall.SIGHUP {
				d.reload(ctx)
			} else {
				d.log.Info("pass requested")
				d.requestPass()
			}
		}
	}
}

// requestPass makes the loop process all targets next.
func (d *Daemon) requestPass() { d.request(nil) }

// request makes the loop process some targets next; nil: all.
func (d *Daemon) request(names []string) {
	var want map[string]bool
	if names != nil {
		want = map[string]bool{}
	}
	for _, name := range names {
		want[name] = true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case before := <-d.requested:
		if want == nil || before == nil {
			want = nil
		}
		if want != nil {
			maps.Copy(want, before)
		}
	default:
	}
	d.requested <- want
}

// nextFullPass returns when the schedule wants the next pass over all targets.
func (d *Daemon) nextFullPass(after time.Time) time.Time {
	d.currentMu.RLock()
	defer d.currentMu.RUnlock()
	return d.current.schedule.Next(after)
}

// close closes the generation in use, and one that was not applied.
func (d *Daemon) close() {
	d.pendingMu.Lock()
	defer d.pendingMu.Unlock()
	if d.pending != nil {
		d.pending.close(d.current.page)
		d.pending = nil
	}
	d.currentMu.Lock()
	defer d.currentMu.Unlock()
	d.current.close()
}
