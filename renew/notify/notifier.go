package notify

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"keypaird/renew"
	"keypaird/renew/backoff"
	"keypaird/renew/keypair"
)

// A Sender delivers notices to the operator.
type Sender interface {
	// Send sends notices that differ only in their target. After an error it is
	// called with them again.
	Send(ctx context.Context, notices []Notice) error
}

// A Notifier sends due notices and records them.
type Notifier struct {
	Sender  Sender         // required
	Store   *keypair.Store // required
	Records *renew.Records // required
	Log     *slog.Logger   // required

	// Yield is closed when the Notifier must not begin another call: the remaining
	// notices are sent after the next pass. It may be nil.
	Yield <-chan struct{}

	Clock func() time.Time // the wall clock; nil means time.Now

	unreadable map[string]renew.Notified // by target with an unreadable state
}

// A group lists the targets with the same alert.
type group struct {
	cause
	targets []*target
}

// A cause is the common failure of a group of targets.
type cause struct {
	kind   Kind
	step   backoff.Step // that fails; zero: none does, or the state cannot be read
	failed string       // the step that failed, if the state cannot be read
	target string       // of a group of one
}

// A target is the state of one target.
type target struct {
	renew.TargetState
	failed string // the step that failed, if Err is set
}

// Notify sends the notices that are due after a pass, at least once each: a notice
// that could not be recorded is sent again. One call of the Sender takes all
// targets with the same kind of alert and the same failing step. If a call fails,
// the other notices are sent after the next pass. Notify brings report.Next forward
// to the time of a target's next notice.
func (n *Notifier) Notify(ctx context.Context, report *renew.Report) {
	targets := make([]*target, len(report.Targets))
	for i, s := range report.Targets {
		targets[i] = &target{s, "reading its state"}
	}
	n.send(ctx, targets)
	soonest := n.now().Add(time.Minute)
	for _, t := range targets {
		at := n.next(t)
		if at.IsZero() {
			continue
		}
		if at.Before(soonest) {
			at = soonest
		}
		if next, ok := report.Next[t.Name]; !ok || at.Before(next) {
			report.Next[t.Name] = at
		}
	}
}

// PassFailed notifies that passes fail as a whole, at most daily.
func (n *Notifier) PassFailed(ctx context.Context, targets []renew.Target, err error) {
	list := make([]*target, len(targets))
	for i, t := range targets {
		list[i] = &target{renew.TargetState{Target: t, Err: err}, "pass failed"}
	}
	n.send(ctx, list)
}

// send sends the notices that are due, one call for each group.
func (n *Notifier) send(ctx context.Context, targets []*target) {
	var groups []*group
	for _, t := range targets {
		notice, due := n.notice(t)
		if !due {
			continue
		}
		c := n.cause(t, notice.Kind)
		i := slices.IndexFunc(groups, func(g *group) bool { return g.cause == c })
		if i < 0 {
			i, groups = len(groups), append(groups, &group{cause: c})
		}
		groups[i].targets = append(groups[i].targets, t)
	}
	for _, g := range groups {
		if n.yielding(ctx) || !n.sendGroup(ctx, g) {
			return
		}
	}
}

func (n *Notifier) yielding(ctx context.Context) bool {
	select {
	case <-n.Yield:
		return true
	default:
		return ctx.Err() != nil
	}
}

// cause returns by what a target is grouped. Each external certificate, and each that
// is no longer configured, has its own group.
func (n *Notifier) cause(t *target, kind Kind) cause {
	c := cause{kind: kind}
	switch {
	case t.Err != nil:
		c.failed = t.failed
	case kind == Recovered:
	default:
		c.step, _ = Failure(n.now(), t.Target, t.State)
		if t.External() != nil || len(t.Unconfigured) > 0 {
			c.target = t.Name
		}
	}
	return c
}

// notice returns the notice of a target, and whether to send it now.
func (n *Notifier) notice(t *target) (Notice, bool) {
	now, before := n.now(), n.unreadable[t.Name]
	if t.Err != nil {
		return unreadable(t.Name, t.failed, t.Err), dayAgo(before.Failing, now) && !before.Attempt.Waits(now)
	}
	notice, due := notice(now, t.Target, t.State)
	due = due || n.readable(t)
	if id, err := n.Store.LiveID(t.Name); due && err == nil {
		notice.Version = id
		if leaf := t.State.InUse; leaf != nil {
			notice.Fingerprint = fmt.Sprintf("%x", sha256.Sum256(leaf.Raw))
		}
	}
	return notice, due && !t.State.Record.Notified.Attempt.Waits(now)
}

// readable reports whether a state that was unreadable is readable and ok again, and
// the operator was not yet notified of that.
func (n *Notifier) readable(t *target) bool {
	if n.unreadable[t.Name].Failing.IsZero() {
		return false
	}
	alert := Check(n.now(), t.Target, t.State)
	return alert.Kind == "" && alert.Failure.Failures == 0
}

// next returns when a notice of a target is due; zero if unknown.
func (n *Notifier) next(t *target) time.Time {
	if t.Err != nil {
		return time.Time{}
	}
	now, sent := n.now(), t.State.Record.Notified
	if _, due := notice(now, t.Target, t.State); due || n.readable(t) { // not sent yet
		if sent.Attempt.Next.After(now) {
			return sent.Attempt.Next
		}
		return now
	}
	switch Check(now, t.Target, t.State).Kind {
	case "":
		if len(t.Unconfigured) > 0 {
			return unconfiguredAt(t.State.InUse)
		}
	case Failing:
		return sent.Failing.Add(daily)
	case Expiring:
		return sent.Expiring.Add(daily)
	}
	return time.Time{}
}

// sendGroup sends and records the notices of one group. It reports whether the call
// succeeded.
func (n *Notifier) sendGroup(ctx context.Context, g *group) bool {
	notices := make([]Notice, len(g.targets))
	names := make([]string, len(g.targets))
	for i, t := range g.targets {
		notices[i], _ = n.notice(t)
		names[i] = t.Name
	}
	mergeErrors(notices)
	err := n.call(ctx, notices)
	if ctx.Err() != nil {
		return false // sent again by the next run
	}
	var retry backoff.Attempt // for all of them together
	if err != nil {
		now := n.now() // with no time left, the longest wait is an hour
		retry = n.notified(g.targets[0]).Attempt.Failed(err, now, now)
		n.Log.Error("notification failed", "event", string(g.kind), "certs", strings.Join(names, " "), "err", err, "remedy", renew.Remedy(err))
	} else {
		n.Log.Info("notified", "event", string(g.kind), "certs", strings.Join(names, " "))
	}
	for i, t := range g.targets {
		n.record(t, notices[i], retry)
	}
	return err == nil
}

// call calls the Sender. A panic of one call must not end the process.
func (n *Notifier) call(ctx context.Context, notices []Notice) (err error) {
	defer func() {
		if v := recover(); v != nil {
			n.Log.Error("panicked", "event", string(notices[0].Kind), "value", v, "stack", string(debug.Stack()))
			err = fmt.Errorf("internal fault: %v", v)
		}
	}()
	return n.Sender.Send(ctx, notices)
}

// notified returns the recorded notices of a target.
func (n *Notifier) notified(t *target) renew.Notified {
	if t.Err != nil {
		return n.unreadable[t.Name]
	}
	return t.State.Record.Notified
}

// record stores that notice was sent or, after a failure, when to send it again.
func (n *Notifier) record(t *target, notice Notice, retry backoff.Attempt) {
	if t.Err != nil {
		before := n.unreadable[t.Name]
		if before.Attempt = retry; retry.Failures == 0 {
			before.Failing = n.now()
		}
		if n.unreadable == nil {
			n.unreadable = map[string]renew.Notified{}
		}
		n.unreadable[t.Name] = before
		return
	}
	if retry.Failures > 0 {
		t.State.Record.Notified.Attempt = retry
	} else {
		sent(&t.State.Record.Notified, notice, n.now())
		delete(n.unreadable, t.Name)
	}
	if err := n.Records.Save(n.Store, t.Name, t.State.Record); err != nil {
		n.Log.Warn("record not saved", "cert", t.Name, "step", "notifying", "err", err)
	}
}

func (n *Notifier) now() time.Time {
	if n.Clock != nil {
		return n.Clock()
	}
	return time.Now().Round(0) // without the monotonic clock, which stands still in suspend
}

// localPort matches the local port of a connection, which differs each time.
var localPort = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`:[0-9]+->`) })

// maxErrors is how long the errors in a notice are together at most: a command gets one
// line.
const maxErrors = 440

// mergeErrors sets the same error and remedy in all notices: each different error once,
// with its targets if there are several, as far as they fit, and each remedy once.
func mergeErrors(notices []Notice) {
	var texts []string
	targets := map[string][]string{} // by text
	first := map[string]Notice{}     // likewise
	for _, n := range notices {
		text := localPort().ReplaceAllString(n.Error, "->")
		if len(targets[text]) == 0 {
			first[text], texts = n, append(texts, text)
		}
		targets[text] = append(targets[text], fmt.Sprintf("%q", n.Target))
	}
	merged, remedies := "", []string{}
	for i, text := range texts {
		part := first[text].Error
		if len(texts) > 1 {
			part = strings.Join(targets[text], ", ") + ": " + part
		}
		if i > 0 && len(merged)+len(part) > maxErrors {
			merged += fmt.Sprintf("; and %d more, which keypaird status shows", len(texts)-i)
			break
		}
		if i > 0 {
			merged += "; "
		}
		merged += part
		if remedy := first[text].Remedy; remedy != "" && !slices.Contains(remedies, remedy) {
			remedies = append(remedies, remedy)
		}
	}
	for i := range notices {
		notices[i].Error, notices[i].Remedy = merged, strings.Join(remedies, "; ")
	}
}
