package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"keypaird/acme/responder"
	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/engine"
	"keypaird/cmd/keypaird/schedule"
	"keypaird/renew"
	"keypaird/renew/notify"
	"keypaird/renew/problem"
	"keypaird/renew/status"
)

// A generation is one configuration and what runs by it.
type generation struct {
	engine   *engine.Engine
	files    *fileWatch
	schedule schedule.Schedule
	page     *page  // nil: none is served
	pageErr  error  // why not, if one is configured
	leave    func() // ends what it shares with other machines; nil: it has not begun
}

// close closes the generation, except for its page if that is in keep.
func (g *generation) close(keep ...*page) {
	if g.leave != nil {
		g.leave()
	}
	g.engine.ClosePorts(false)
	g.engine.Close()
	if g.page != nil && !slices.Contains(keep, g.page) {
		g.page.close()
	}
}

// load reads the configuration and makes its engine. Nothing is in use yet. A page that is
// open at the same address is kept.
func (d *Daemon) load(ctx context.Context) (*generation, error) {
	cfg, err := config.Load(d.options.Config)
	if err != nil {
		return nil, err
	}
	if d.current != nil && cfg.State != d.current.engine.Config.State {
		return nil, problem.Newf("stop keypaird, move the directory, start keypaird",
			"the state directory cannot change while the daemon runs: it is %s, not %s", d.current.engine.Config.State, cfg.State)
	}
	schedule, err := schedule.New(cfg.Schedule, d.spread)
	if err != nil {
		return nil, fmt.Errorf("schedule: %w", err)
	}
	eng, err := d.newEngine(cfg)
	if err != nil {
		return nil, err
	}
	if _, err := eng.CAs(); err != nil {
		eng.Close()
		return nil, err
	}
	g := &generation{engine: eng, schedule: schedule, files: new(fileWatch)}
	g.files.changed(eng.Targets) // before a pass imports them
	for _, old := range []*generation{d.pending, d.current} {
		if old != nil && old.page != nil && old.page.addr == cfg.Status.Listen {
			g.page = old.page
			return g, nil
		}
	}
	if !d.hasRights(cfg) {
		return g, nil // the next process opens it
	}
	if g.page, err = openPage(ctx, cfg.Status.Listen); err == nil {
		return g, nil
	}
	g.pageErr = d.pageError(cfg.Status.Listen, err)
	if !d.pageCanWait(cfg, err) {
		eng.Close()
		return nil, g.pageErr
	}
	return g, nil
}

// reload loads the configuration again for the loop to apply. If it is wrong,
// nothing changes.
func (d *Daemon) reload(ctx context.Context) {
	d.manager.reloading()
	d.log.Info("reading the configuration")
	d.pendingMu.Lock()
	defer d.pendingMu.Unlock()
	g, err := d.load(ctx)
	if err != nil {
		d.reject(err)
		d.manager.ready(d.serviceStatus(""))
		return
	}
	if d.pending != nil {
		d.pending.close(d.current.page, g.page)
	}
	d.pending = g
	d.mu.Lock()
	if d.yield != nil {
		d.yield()
	}
	d.mu.Unlock()
	d.requestPass()
}

// reject reports what is wrong with a configuration that is not applied.
func (d *Daemon) reject(err error) {
	var mistakes config.Mistakes
	n := 1
	if errors.As(err, &mistakes) {
		n = len(mistakes)
		for _, m := range mistakes {
			d.log.Error("configuration is wrong", "file", m.File, "line", m.Line, "key", m.Key, "problem", m.Problem, "remedy", m.Remedy)
		}
	} else {
		d.log.Error("configuration rejected", "err", err, "remedy", renew.Remedy(err))
	}
	d.log.Warn("keeping previous configuration", "mistakes", n)
	d.mu.Lock()
	defer d.mu.Unlock()
	since := time.Now().UTC().Truncate(time.Second)
	if d.rejected != nil {
		since = d.rejected.since
	}
	d.rejected = &rejection{err, since}
	d.metrics.Configured(false)
}

// A rejection contains the reason why the configuration on disk is not in use.
type rejection struct {
	err   error     // of the last reload
	since time.Time // the first that failed
}

// refusal returns what the status page shows. Mistakes are only counted: they may
// quote what readers of the page must not see.
func (r *rejection) refusal() *status.Refusal {
	text := r.err.Error()
	var mistakes config.Mistakes
	if errors.As(r.err, &mistakes) {
		text = count(len(mistakes), "mistake") + ", see: keypaird check"
	}
	return &status.Refusal{Since: r.since, Error: text}
}

// hasPending reports whether a configuration is to be applied before the next pass.
func (d *Daemon) hasPending() bool {
	d.pendingMu.Lock()
	defer d.pendingMu.Unlock()
	return d.pending != nil
}

// applyPending applies the configuration that a reload has loaded, if any.
func (d *Daemon) applyPending(ctx context.Context) {
	d.pendingMu.Lock()
	defer d.pendingMu.Unlock()
	if d.pending == nil || d.lacksRights(d.pending.engine.Config) {
		return
	}
	old := d.current
	d.mu.Lock()
	d.rejected = nil
	d.metrics.Configured(true)
	d.mu.Unlock()
	d.summary.logged = false
	if old.leave != nil {
		old.engine.KeepFor(d.pending.engine)
		old.leave() // it has the name of this node
		old.leave = nil
	}
	d.apply(ctx, d.pending)
	d.pending = nil
	old.close(d.current.page)
	d.log.Info("configuration reloaded", "targets", len(d.current.engine.Targets), "schedule", d.current.engine.Config.Schedule)
}

// apply makes g the current generation.
func (d *Daemon) apply(ctx context.Context, g *generation) {
	d.currentMu.Lock()
	d.current = g
	d.currentMu.Unlock()
	if g.page != nil {
		if err := d.serve(g.page, g.engine.Config); err != nil {
			g.page.close()
			g.page, g.pageErr = nil, problem.Wrap(fmt.Errorf("status page: %w", err), problem.Remedy(err))
		}
	}
	if g.pageErr != nil {
		d.log.Error("status not shown", "err", g.pageErr, "remedy", renew.Remedy(g.pageErr))
	}
	d.pass = g.engine.Pass(renew.Scheduled)
	d.pass.Observer, d.pass.Records = d.metrics, &d.records
	d.notifier.Store, d.notifier.Sender = g.engine.Store, nil
	if len(g.engine.Config.Notify.Command) > 0 {
		d.notifier.Sender = countingSender{g.engine, d.metrics}
	}
	g.leave = g.engine.Share(ctx, engine.Passes{Changed: d.request, Issue: d.issue, Rollover: d.rollover})
	d.listenPassed(ctx)
	d.warnUnused()
	g.engine.LogUnconfigured()
	d.manager.ready(d.serviceStatus(count(len(g.engine.Targets), "certificate") + ", pass running"))
}

// listenPassed keeps the sockets of challenges answered between orders, too, if the
// service manager holds them open: clients can connect at any time.
func (d *Daemon) listenPassed(ctx context.Context) {
	for _, p := range d.current.engine.SteadyPorts() {
		if err := p.Start(ctx); err != nil {
			d.log.Warn(p.Type+" listener failed", "err", err, "remedy", renew.Remedy(err))
		}
	}
}

// A countingSender sends through another Sender and counts notifications.
type countingSender struct {
	notify.Sender
	metrics *status.Metrics
}

func (s countingSender) Send(ctx context.Context, notices []notify.Notice) error {
	err := s.Sender.Send(ctx, notices)
	if ctx.Err() == nil {
		s.metrics.Notified(string(notices[0].Kind), err)
	}
	return err
}

// warnUnused warns of sockets that the service manager holds open for nobody: its unit is
// enabled, and the configuration does not use it.
func (d *Daemon) warnUnused() {
	cfg := d.current.engine.Config
	for _, name := range responder.Unused(cfg.HTTP01.Listen, cfg.TLSALPN.Listen, cfg.Status.Listen) {
		d.log.Warn("socket not used", "socket", name,
			"remedy", fmt.Sprintf("set listen to \"fd:%s\", or disable the socket unit that passes it and restart keypaird: it keeps the port from other servers", name))
	}
}
