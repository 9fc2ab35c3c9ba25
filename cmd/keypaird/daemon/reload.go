package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	"keypaird/acme/http01"
	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/engine"
	"keypaird/renew"
	"keypaird/renew/durable"
	"keypaird/renew/notify"
	"keypaird/renew/status"
)

// An offer is what a configuration was turned into.
type offer struct {
	parts   *engine.Engine
	files   *watch
	times   config.Schedule
	page    *page // nil: nothing is shown
	unshown error // why not, if something is to be
}

// drop lets go of what was made of a configuration, save for what is kept.
func (o *offer) drop(keep *page) {
	o.parts.HTTP01.Close()
	o.parts.Close()
	if o.page != nil && o.page != keep {
		o.page.close()
	}
}

// read reads the configuration and makes the parts. Nothing is in use yet; what
// shows the status goes on where it is to be shown at the same address.
func (k *Daemon) read(ctx context.Context) (*offer, error) {
	cfg, err := k.o.Load()
	if err != nil {
		return nil, err
	}
	if k.parts != nil && cfg.State != k.parts.Config.State {
		return nil, &StateMovedError{k.parts.Config.State, cfg.State}
	}
	times, err := config.NewSchedule(cfg.Schedule, k.spread)
	if err != nil {
		return nil, fmt.Errorf("schedule: %w", err)
	}
	parts, err := k.o.Engine(cfg)
	if err != nil {
		return nil, err
	}
	if _, err := parts.CAs(); err != nil {
		parts.Close()
		return nil, err
	}
	o := &offer{parts: parts, times: times, files: new(watch)}
	o.files.settled(parts.Subjects) // as they are before anybody takes them
	for _, p := range []*page{k.pageOffered(), k.page} {
		if p != nil && p.addr == cfg.Status.Listen {
			o.page = p
			return o, nil
		}
	}
	o.page, err = openPage(ctx, cfg.Status.Listen)
	switch {
	case err == nil:
	case k.later(cfg, err):
		o.unshown = err
	default:
		parts.Close()
		return nil, k.ownPort(err)
	}
	return o, nil
}

// later reports whether a page that cannot be shown now comes later: nobody who
// holds its place keeps the daemon from starting, or from reading what else has
// changed. A socket that we are to be given does not come any more.
func (k *Daemon) later(cfg *config.Config, err error) bool {
	first := k.parts == nil
	return !errors.Is(err, http01.ErrNoSocket) && (first || k.page == nil && k.parts.Config.Status.Listen == cfg.Status.Listen)
}

// ownPort has err say so if it is the present page that is in the way.
func (k *Daemon) ownPort(err error) error {
	var failed *PageError
	if k.page == nil || !errors.As(err, &failed) || !errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	_, ours, err1 := net.SplitHostPort(k.page.addr)
	_, wanted, err2 := net.SplitHostPort(failed.Addr)
	failed.Own = err1 == nil && err2 == nil && ours == wanted
	return err
}

func (k *Daemon) pageOffered() *page {
	if k.offered == nil {
		return nil
	}
	return k.offered.page
}

// reload reads the configuration again and offers what it says. If it is wrong,
// all stays as it is.
func (k *Daemon) reload(ctx context.Context) {
	k.manager.reloading()
	k.log.Info("reading the configuration")
	k.changing.Lock()
	defer k.changing.Unlock()
	o, err := k.read(ctx)
	if err != nil {
		k.refuse(err)
		k.manager.ready(k.note(""))
		return
	}
	if k.offered != nil { // and not taken over yet
		if k.offered.page == k.page {
			k.offered.page = nil
		}
		k.offered.drop(o.page)
	}
	k.offered = o
	k.mu.Lock()
	if k.yield != nil {
		k.yield()
	}
	k.mu.Unlock()
	k.wake()
}

// refuse says what is wrong with a configuration that is not taken over.
func (k *Daemon) refuse(err error) {
	var mistakes config.Mistakes
	n := 1
	if errors.As(err, &mistakes) {
		n = len(mistakes)
		for _, m := range mistakes {
			k.log.Error("configuration is wrong", "file", m.File, "line", m.Line, "key", m.Key, "problem", m.Problem, "remedy", m.Remedy)
		}
	} else {
		k.log.Error("configuration not taken over", "err", err, "remedy", renew.Remedy(err))
	}
	k.log.Warn("the configuration in use stays", "mistakes", n)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.refused = fmt.Sprintf("the configuration on disk is not in use: %v", err)
	k.refusal = refusal(k.refusal, err)
	k.o.Metrics.Configured(false)
}

// adopt takes over what a reload offers.
func (k *Daemon) adopt(ctx context.Context) {
	k.changing.Lock()
	defer k.changing.Unlock()
	if k.offered == nil {
		return
	}
	old := k.offer
	k.take(k.offered)
	k.offered = nil
	k.answer(ctx)
	old.drop(k.page)
	k.mu.Lock()
	k.refused, k.refusal = "", nil
	k.o.Metrics.Configured(true)
	k.mu.Unlock()
	k.outlook.told = false
	n := len(k.parts.Subjects)
	k.log.Info("configuration taken over", "targets", n, "schedule", k.parts.Config.Schedule)
	k.manager.ready(k.note(certificates(n) + ", looking at all"))
}

// take puts what was made of a configuration to use.
func (k *Daemon) take(o *offer) {
	k.inUse.Lock()
	k.offer = *o
	k.inUse.Unlock()
	if o.page != nil {
		o.page.serve(k.show(o.page.addr))
	}
	if o.unshown != nil {
		k.log.Error("status not shown", "err", o.unshown, "remedy", renew.Remedy(o.unshown))
	}
	fresh := o.parts.Pass(renew.Scheduled)
	p := &k.pass
	p.Store, p.Obtainer, p.Deployer, p.RenewalInfo, p.Resolver, p.Log = fresh.Store, fresh.Obtainer, fresh.Deployer, fresh.RenewalInfo, fresh.Resolver, fresh.Log
	p.Parallel, p.Mode, p.DeployWindow = fresh.Parallel, fresh.Mode, fresh.DeployWindow
	p.Observer, p.Records = k.o.Metrics, &k.records
	n := &k.notifier
	n.Sender, n.Store, n.Records, n.Log = nil, o.parts.Store, &k.records, k.log
	if len(o.parts.Config.Notify.Command) > 0 {
		n.Sender = countingSender{o.parts, k.o.Metrics}
	}
}

// A StateMovedError reports a configuration that names another state directory
// than the one the daemon works in.
type StateMovedError struct{ Now, Then string }

func (e *StateMovedError) Error() string {
	return fmt.Sprintf("the state directory cannot change while the daemon runs: it is %s, not %s", e.Now, e.Then)
}

// Remedy says what the operator can do about it.
func (e *StateMovedError) Remedy() string { return "stop keypaird, move the directory, start keypaird" }

// A RunningError reports another daemon on the same state directory.
type RunningError struct {
	State string
	Err   *durable.HeldError
}

func (e *RunningError) Error() string {
	return fmt.Sprintf("another keypaird run works on %s: %s", e.State, e.Err.Holder)
}

func (e *RunningError) Unwrap() error { return e.Err }

// Remedy says what the operator can do about it.
func (e *RunningError) Remedy() string {
	return "stop that one first, or have it read a changed configuration: kill -HUP its process"
}

// otherDaemon makes a RunningError of a lock that is held.
func otherDaemon(state string, err error) error {
	var held *durable.HeldError
	if errors.As(err, &held) {
		return &RunningError{state, held}
	}
	return err
}

// A countingSender is the Sender of a daemon, which counts notifications.
type countingSender struct {
	*engine.Engine
	metrics *status.Metrics
}

// Send implements notify.Sender.
func (t countingSender) Send(ctx context.Context, notices []notify.Notice) error {
	err := t.Engine.Send(ctx, notices)
	if ctx.Err() == nil {
		t.metrics.Notified(string(notices[0].Kind), err)
	}
	return err
}
