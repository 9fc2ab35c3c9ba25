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

	"keypaird/renew"
	"keypaird/renew/durable"
	"keypaird/renew/notify"
)

const (
	heedEvery = 200 * time.Millisecond // how often a pass looks whether a command waits
	tryAgain  = time.Minute            // after a pass failed
	hopeless  = 10                     // tries to make a pass, then a person is told
	apart     = 5 * time.Minute        // by which two clocks differ, to be worth a word
)

var errLate = errors.New("the last pass did not end in time; what it was at is put right by the next run")

// look is one look at the targets that are due, at all if due is nil.
func (k *Daemon) look(ctx context.Context, due map[string]bool) map[string]time.Time {
	next := map[string]time.Time{}
	for {
		k.adopt(ctx)
		k.showLate(ctx)
		report, yielded := k.turn(ctx, due)
		maps.Copy(next, report.Next)
		k.seen(report, due)
		if !yielded || ctx.Err() != nil {
			return next
		}
	}
}

// turn makes one pass, if nobody else works on the state meanwhile. It reports
// whether a command was let through and the pass is to be made again.
func (k *Daemon) turn(ctx context.Context, due map[string]bool) (r renew.Report, yielded bool) {
	lock, err := k.acquire(ctx)
	if err != nil {
		return k.hindered(ctx, err, due), false
	}
	defer lock.Release() // after the rest: children may still be removing their records
	if err := k.follow(ctx); err != nil {
		return k.hindered(ctx, err, due), false
	}
	k.trouble, k.tries = nil, 0
	if !k.parts.SocketActivated() {
		defer k.parts.HTTP01.Close()
	}
	stop := make(chan struct{})
	yield := sync.OnceFunc(func() { close(stop) })
	k.pass.Yield, k.notifier.Yield = stop, stop
	k.mu.Lock()
	k.yield = yield
	k.mu.Unlock()
	defer func() {
		k.mu.Lock()
		k.yield = nil
		k.mu.Unlock()
	}()
	if k.offers() {
		return r, false
	}
	heeding, cancel := context.WithCancel(ctx)
	var heed sync.WaitGroup
	heed.Go(func() { yielded = wantedBefore(heeding, lock, yield) })
	began := time.Now()
	r = k.pass.Run(ctx, k.parts.Select(due))
	if k.notifier.Sender != nil && ctx.Err() == nil {
		k.notifier.Notify(ctx, &r)
	}
	cancel()
	heed.Wait()
	if n := len(r.Errs); ctx.Err() != nil || n > 0 && errors.Is(r.Errs[n-1], renew.ErrYield) {
		k.parts.CloseAccounts(ctx)
	} else {
		k.o.Metrics.Passed(time.Since(began), n)
	}
	return r, yielded
}

// wantedBefore has a pass yield when a command waits for its lock, before ctx
// ends.
func wantedBefore(ctx context.Context, lock *durable.Lock, yield func()) bool {
	ticker := time.NewTicker(heedEvery)
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

// offers reports whether there is something to be taken over first.
func (k *Daemon) offers() bool {
	k.changing.Lock()
	defer k.changing.Unlock()
	return k.offered != nil
}

// hindered notes that the pass failed, and has it tried again.
func (k *Daemon) hindered(ctx context.Context, err error, due map[string]bool) renew.Report {
	if ctx.Err() != nil {
		return renew.Report{}
	}
	if k.trouble == nil || k.trouble.Error() != err.Error() {
		k.log.Error("pass failed", "err", err, "remedy", renew.Remedy(err))
	}
	k.trouble = err
	k.tries++
	var stuck *StuckError
	if k.tries >= hopeless || errors.As(err, &stuck) {
		if k.notifier.Sender != nil {
			k.notifier.Yield = nil // of the last pass
			k.notifier.PassFailed(ctx, k.parts.Targets, err)
		}
	}
	r := renew.Report{Next: map[string]time.Time{}}
	for _, s := range k.parts.Targets {
		if due == nil || due[s.Name] {
			r.Next[s.Name] = time.Now().Round(0).Add(tryAgain)
		}
	}
	return r
}

// An outlook is what the daemon expects, in a word for the service manager.
type outlook struct {
	next    map[string]time.Time // by target
	planned time.Time            // look at all
	failing map[string]bool
	told    bool // of all, in the log
}

// seen takes in what a pass has seen.
func (k *Daemon) seen(r renew.Report, due map[string]bool) {
	suspects := maps.Clone(due)
	if suspects == nil {
		suspects = map[string]bool{}
	}
	for _, err := range r.Errs {
		var failed *renew.TargetError
		if !errors.As(err, &failed) {
			continue // it ended early
		}
		k.log.Error("failed", "certs", strings.Join(failed.Targets, " "), "step", failed.Step, "err", failed.Err, "remedy", renew.Remedy(failed.Err))
		for _, name := range failed.Targets {
			suspects[name] = true
		}
	}
	now := time.Now().Round(0)
	o := &k.outlook
	if due == nil {
		clear(o.next)
	}
	maps.Copy(o.next, r.Next)
	if due == nil || !o.planned.After(now) {
		o.planned = k.schedule(now)
	}
	k.suspect(suspects)
	var failed *renew.TargetError
	if n := len(r.Errs); n > 0 && !errors.As(r.Errs[n-1], &failed) {
		return // it ended early, and another one comes, or none
	}
	next := o.planned
	for _, at := range o.next {
		if at.Before(next) {
			next = at
		}
	}
	if k.trouble == nil {
		log := k.log.Debug
		if !o.told {
			log, o.told = k.log.Info, true
		}
		log("looked", "targets", len(k.parts.Targets), "failing", len(o.failing), "next", next.UTC().Format(time.RFC3339))
	} else {
		k.log.Debug("not looked", "err", k.trouble, "next", next.UTC().Format(time.RFC3339))
	}
	k.manager.tell("STATUS=" + k.note(k.sentence(next)))
}

// suspect looks which targets fail: of all when it is called first, then of
// those that are suspects or failed before.
func (k *Daemon) suspect(names map[string]bool) {
	failing := k.outlook.failing
	which := maps.Clone(failing)
	maps.Copy(which, names)
	if !k.outlook.told {
		which = nil
	}
	for _, t := range k.parts.Select(which) {
		failing[t.Name] = k.fails(t)
	}
	maps.DeleteFunc(failing, func(name string, fails bool) bool { return !fails || k.parts.Settings[name].Name == "" })
}

func (k *Daemon) fails(t renew.Target) bool {
	state, err := k.records.LoadState(k.parts.Store, t)
	if err != nil {
		return true
	}
	_, last := notify.Failure(time.Now(), t, state)
	return last.Failures > 0
}

// sentence says how the daemon stands.
func (k *Daemon) sentence(next time.Time) string {
	text := certificates(len(k.parts.Targets)) + ", next look at " + next.UTC().Format(time.RFC3339)
	if n := len(k.outlook.failing); n > 0 {
		text += fmt.Sprintf("; %d failing", n)
	}
	if k.trouble != nil {
		text += "; pass failed: " + k.trouble.Error()
	}
	cas, _ := k.parts.CAs() // all were made when the configuration was read
	for _, name := range slices.Sorted(maps.Keys(cas)) {
		ahead, known := cas[name].Clock()
		if !known {
			continue
		}
		k.o.Metrics.Clock(name, ahead)
		switch ahead = ahead.Round(time.Second); {
		case ahead > apart:
			text += fmt.Sprintf("; our clock is %v behind that of %s", ahead, name)
		case ahead < -apart:
			text += fmt.Sprintf("; our clock is %v ahead of that of %s", -ahead, name)
		}
	}
	return text
}

// note is a sentence for the service manager, with what is wrong with the
// configuration on disk. "" stands for the last sentence.
func (k *Daemon) note(sentence string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if sentence != "" {
		k.said = sentence
	}
	if k.refused == "" {
		return k.said
	}
	return k.said + "; " + k.refused
}
