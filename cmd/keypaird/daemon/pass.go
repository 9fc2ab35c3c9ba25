package daemon

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"keypaird/cmd/keypaird/accounts"
	"keypaird/cmd/keypaird/engine"
	"keypaird/renew"
	"keypaird/renew/durable"
	"keypaird/renew/notify"
	"keypaird/renew/reprobe"
	"keypaird/renew/status"
)

const (
	waiterPoll      = 200 * time.Millisecond // how often a pass checks whether a command waits for the lock
	passRetry       = time.Minute            // after a pass that could not be made
	maxPassAttempts = 10                     // before the operator is notified
	clockSkewLimit  = 5 * time.Minute        // a larger difference to a CA's clock is reported
)

// yielded is the report of a pass that made way for a reload before it began: the
// reload has requested another.
var yielded = renew.Report{Errs: []error{renew.ErrYield}}

var errStopTimeout = errors.New("shutdown timed out: the last pass did not end; the next run resumes what it was doing")

// runPass makes a pass over the targets named by due, over all if due is nil, and
// makes it again after each command that it let go first. It returns when each
// target is due next.
func (d *Daemon) runPass(ctx context.Context, due map[string]bool) map[string]time.Time {
	next := map[string]time.Time{}
	for {
		d.applyPending(ctx)
		d.retryPage(ctx)
		names := due
		if d.answering = d.nextPassRequest(); d.answering != nil {
			names = d.answering.names
		}
		report, again := d.tryPass(ctx, names)
		maps.Copy(next, report.Next)
		d.recordReport(report, names)
		switch {
		case ctx.Err() != nil || !again && interrupted(report):
			return next // a request is answered after the reload
		case again:
		case d.answering == nil:
			return next
		default:
			d.answer(d.answering, report)
		}
	}
}

// tryPass makes one pass while it holds the lock of the state directory. It reports
// whether the pass made way for a command and is to be made again.
func (d *Daemon) tryPass(ctx context.Context, due map[string]bool) (r renew.Report, again bool) {
	lock, err := d.acquireLock(ctx)
	switch {
	case errors.Is(err, errReloaded):
		return yielded, false
	case err != nil:
		return d.passFailed(ctx, err, due), false
	}
	defer d.releaseLock(lock) // last: DNS helpers may still be removing their records
	if err := d.checkStateDir(ctx); err != nil {
		return d.passFailed(ctx, err, due), false
	}
	if d.lacksRights(d.current.engine.Config) {
		return yielded, false
	}
	d.passErr, d.attempts = nil, 0
	eng := d.current.engine
	defer eng.ClosePorts(true)
	stop := make(chan struct{})
	yield := sync.OnceFunc(func() { close(stop) })
	d.pass.Yield, d.notifier.Yield = stop, stop
	d.setYield(yield)
	defer d.setYield(nil)
	if d.hasPending() {
		return yielded, false
	}
	targets, err := d.applyPassRequest(eng.Select(due))
	if err != nil {
		return renew.Report{Errs: []error{err}}, false
	}
	if req := d.answering; req != nil && req.change != nil {
		return req.apply(ctx, eng), false
	}
	polling, cancel := context.WithCancel(ctx)
	var poll sync.WaitGroup
	poll.Go(func() { again = yieldToWaiter(polling, lock, yield) })
	began := time.Now()
	defer eng.BeginPass(ctx)()
	unconfigured := eng.Prepare(ctx, targets, &d.records)
	d.pass.Beside = func() []renew.Target { return eng.Beside(targets) }
	r = reprobe.Run(ctx, d.pass, targets)
	if d.notifier.Sender != nil && ctx.Err() == nil {
		for _, c := range unconfigured {
			if len(c.InUse()) > 0 {
				r.Targets = append(r.Targets, c.TargetState())
			}
		}
		d.notifier.Notify(ctx, &r)
	}
	cancel()
	poll.Wait()
	if ctx.Err() != nil || interrupted(r) {
		eng.CloseAccounts(ctx)
	} else {
		d.metrics.Passed(time.Since(began), len(r.Errs))
	}
	return r, again
}

// interrupted reports whether a pass made way.
func interrupted(r renew.Report) bool {
	n := len(r.Errs)
	return n > 0 && errors.Is(r.Errs[n-1], renew.ErrYield)
}

// setYield sets what a reload calls to end the running pass.
func (d *Daemon) setYield(yield func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.yield = yield
}

// yieldToWaiter calls yield and returns true when a command waits for the lock;
// false when ctx ends first.
func yieldToWaiter(ctx context.Context, lock *durable.Lock, yield func()) bool {
	ticker := time.NewTicker(waiterPoll)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-ticker.C:
		}
		if lock.Wanted() {
			yield()
			return true
		}
	}
}

// passFailed logs that no pass could be made, notifies the operator if that lasts,
// and returns a report that asks for another attempt.
func (d *Daemon) passFailed(ctx context.Context, err error, due map[string]bool) renew.Report {
	if ctx.Err() != nil {
		return renew.Report{}
	}
	if d.passErr == nil || d.passErr.Error() != err.Error() {
		d.log.Error("pass failed", "err", err, "remedy", renew.Remedy(err))
	}
	d.passErr = err
	d.attempts++
	var held *durable.HeldError
	if d.notifier.Sender != nil && (d.attempts >= maxPassAttempts || errors.As(err, &held)) {
		d.notifier.Yield = nil // that of the last pass
		d.notifier.PassFailed(ctx, d.current.engine.Targets, err)
	}
	r := renew.Report{Next: map[string]time.Time{}}
	for _, s := range d.current.engine.Targets {
		if due == nil || due[s.Name] {
			r.Next[s.Name] = time.Now().Round(0).Add(passRetry)
		}
	}
	return r
}

// A summary counts the targets by state, for the log and the service manager.
type summary struct {
	next     map[string]time.Time // by target: when it is due
	nextFull time.Time            // when all are due
	failing  map[string]bool      // by target
	logged   bool                 // for the configuration in use, at Info
}

// recordReport logs what failed in a pass and updates the summary.
func (d *Daemon) recordReport(r renew.Report, due map[string]bool) {
	complete := true
	for _, err := range r.Errs {
		var failed *renew.TargetError
		if !errors.As(err, &failed) {
			complete = false
			continue
		}
		d.log.Error("target failed", "certs", strings.Join(failed.Targets, " "), "step", failed.Step, "err", failed.Err, "remedy", renew.Remedy(failed.Err))
	}
	now := time.Now().Round(0)
	s := &d.summary
	if due == nil {
		clear(s.next)
	}
	maps.Copy(s.next, r.Next)
	if due == nil || !s.nextFull.After(now) {
		s.nextFull = d.nextFullPass(now)
	}
	d.markFailing(r.Targets)
	if complete {
		d.logSummary()
	}
}

// logSummary logs the summary and sends it to the service manager.
func (d *Daemon) logSummary() {
	s := &d.summary
	next := s.nextFull
	for _, at := range s.next {
		if at.Before(next) {
			next = at
		}
	}
	next = next.UTC()
	if d.passErr == nil {
		log := d.log.Debug
		if !s.logged {
			log, s.logged = d.log.Info, true
		}
		log("pass finished", "targets", len(d.current.engine.Targets), "failing", len(s.failing), "next", next.Format(time.RFC3339))
	} else {
		d.log.Debug("pass skipped", "err", d.passErr, "next", next.Format(time.RFC3339))
	}
	d.manager.notify("STATUS=" + d.serviceStatus(d.statusLine(next)))
}

// markFailing notes which targets fail, of those that a pass was about.
func (d *Daemon) markFailing(targets []renew.TargetState) {
	failing := d.summary.failing
	for _, t := range targets {
		_, last := notify.Failure(time.Now(), t.Target, t.State)
		failing[t.Name] = t.Err != nil || last.Failures > 0
	}
	maps.DeleteFunc(failing, func(name string, fails bool) bool { return !fails || d.current.engine.Settings[name].Name == "" })
}

// statusLine returns the summary in one line, with the clocks of CAs that differ.
func (d *Daemon) statusLine(next time.Time) string {
	text := count(len(d.current.engine.Targets), "certificate") + ", next pass at " + next.Format(time.RFC3339)
	if n := len(d.summary.failing); n > 0 {
		text += fmt.Sprintf("; %d failing", n)
	}
	if d.passErr != nil {
		text += "; pass failed: " + d.passErr.Error()
	}
	cas, _ := d.current.engine.CAs() // load has made them all
	for _, name := range slices.Sorted(maps.Keys(cas)) {
		ahead, known := cas[name].Clock()
		if !known {
			continue
		}
		d.metrics.Clock(name, ahead)
		switch ahead = ahead.Round(time.Second); {
		case ahead > clockSkewLimit:
			text += fmt.Sprintf("; our clock is %v behind that of %s", ahead, name)
		case ahead < -clockSkewLimit:
			text += fmt.Sprintf("; our clock is %v ahead of that of %s", -ahead, name)
		}
	}
	return text
}

// serviceStatus returns a status line for the service manager, followed by why the
// configuration on disk is not in use. "" stands for the last line.
func (d *Daemon) serviceStatus(line string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if line != "" {
		d.lastStatus = line
	}
	if d.rejected == nil {
		return d.lastStatus
	}
	return d.lastStatus + "; the configuration on disk is not in use: " + d.rejected.err.Error()
}

// count returns n and the noun, in the plural unless n is 1.
func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// A passRequest is a pass, or a change in place of one, that an operator asks for on another
// node of the fleet.
type passRequest struct {
	ctx    context.Context // the caller's: once it has ended, the request is dropped
	names  map[string]bool
	force  bool
	newKey bool
	change func(context.Context, *engine.Engine) error // runs in place of the pass; nil: a pass is made
	report chan renew.Report
}

// apply makes the change, and returns the report of a pass over no target.
func (r *passRequest) apply(ctx context.Context, e *engine.Engine) (report renew.Report) {
	defer e.BeginPass(ctx)()
	if err := r.change(ctx, e); err != nil {
		report.Errs = append(report.Errs, err)
	}
	return report
}

// issue makes a pass over targets, as keypaird issue does.
func (d *Daemon) issue(ctx context.Context, targets []string, force, newKey bool) (status.Results, error) {
	return d.requestAndWait(ctx, targets, &passRequest{force: force, newKey: newKey})
}

// rollover replaces the keys of the accounts at CAs, as keypaird account rollover does.
func (d *Daemon) rollover(ctx context.Context, cas []string) (status.Results, error) {
	var results status.Results
	_, err := d.requestAndWait(ctx, []string{}, &passRequest{change: func(ctx context.Context, e *engine.Engine) error {
		rows, err := accounts.Each(ctx, e, cas, accounts.Acts["rollover"])
		for _, a := range rows {
			results = append(results, status.Result{Done: renew.Done{Target: a.CA, Why: a.Done}, OK: a.Error == "", Error: a.Error, Remedy: a.Remedy})
		}
		return err
	}})
	if err != nil {
		return nil, err // the loop may still be appending to results
	}
	return results, nil
}

// requestAndWait gives a request to the loop, and returns the results for targets.
func (d *Daemon) requestAndWait(ctx context.Context, targets []string, req *passRequest) (status.Results, error) {
	req.ctx, req.names, req.report = ctx, map[string]bool{}, make(chan renew.Report, 1)
	for _, name := range targets {
		req.names[name] = true
	}
	d.mu.Lock()
	d.passRequests = append(d.passRequests, req)
	d.mu.Unlock()
	d.request(targets)
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case r := <-req.report:
		unknown := func(string) (time.Duration, bool) { return 0, false }
		results := status.ResultsOf(r.Done, r.Errs, unknown)
		for _, err := range r.Errs {
			if _, ok := errors.AsType[*renew.TargetError](err); !ok {
				return results, err
			}
		}
		return results, nil
	}
}

// nextPassRequest returns the first request with a caller who still waits; nil: there is none.
func (d *Daemon) nextPassRequest() *passRequest {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.passRequests) > 0 && d.passRequests[0].ctx.Err() != nil {
		d.passRequests = d.passRequests[1:]
	}
	if len(d.passRequests) == 0 {
		return nil
	}
	return d.passRequests[0]
}

// applyPassRequest prepares the next pass over targets for the request that it answers, if any.
func (d *Daemon) applyPassRequest(targets []renew.Target) ([]renew.Target, error) {
	d.pass.Mode = renew.Scheduled
	req := d.answering
	if req == nil {
		return targets, nil
	}
	if err := req.ctx.Err(); err != nil { // another keypaird had the lock until now
		return nil, err
	}
	d.pass.Mode = renew.Manual
	if req.force {
		d.pass.Mode = renew.Force
	}
	if req.newKey {
		return d.current.engine.WithNewKeys(targets, len(req.names) == 1)
	}
	return targets, nil
}

// answer sends the report of a pass to the caller who requested it.
func (d *Daemon) answer(req *passRequest, r renew.Report) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.passRequests = d.passRequests[1:] // req: others are only appended
	if d.passErr != nil {
		r.Errs = append(r.Errs, d.passErr)
	}
	req.report <- r
}
