package notify

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"keypaird/renew"
	"keypaird/renew/backoff"
	"keypaird/renew/problem"
)

// A Kind is the kind of a notice.
type Kind string

// Kinds.
const (
	Failing   Kind = "failing"   // a step failed repeatedly, or little time is left
	Expiring  Kind = "expiring"  // the certificate in use ends soon and was not replaced
	Recovered Kind = "recovered" // the target of an earlier notice is ok again
)

// An Alert is the reason why the operator must act on a target. The zero value means
// that no action is required.
type Alert struct {
	Kind    Kind            // Failing or Expiring; "": no action is required
	Step    backoff.Step    // that fails most; zero if none does
	Failure backoff.Attempt // of Step
}

// Check returns whether and why the operator must act on a target at now. In this
// order:
//
//   - Expiring: the target is no longer configured, servers may still use its
//     certificate, and that ends soon, see [unconfiguredAt]. No other rule holds then;
//   - Expiring: the certificate in use is overdue, or was revoked, see
//     [renew.State.OverdueAt];
//   - Failing: the TLSA records do not match, which only the operator can correct: peers
//     refuse the key in use, or would refuse the first certificate;
//   - Failing: an endpoint does not serve the certificate any more, and a reload did not
//     help: peers see that now;
//   - Failing: a step failed [backoff.Persistent] times in a row, or once when less
//     than a quarter of the lifetime is left. The files of an external certificate are
//     replaced late, and one by one, so they get all their tries.
func Check(now time.Time, t renew.Target, s renew.State) Alert {
	a := Alert{}
	if len(t.Unconfigured) > 0 {
		if !now.Before(unconfiguredAt(s.InUse)) {
			a.Kind = Expiring
		}
		return a
	}
	a.Step, a.Failure = Failure(now, t, s)
	switch {
	case s.InUse != nil && !now.Before(s.OverdueAt(t)):
		a.Kind = Expiring
	case a.Step.Kind == backoff.Compare && !s.Rollover(t).Unknown(), lost(t, s),
		a.Failure.Failures >= backoff.Persistent, a.Failure.Failures > 0 && s.InUse != nil && s.Urgent(now) && t.External() == nil:
		a.Kind = Failing
	}
	return a
}

// lost reports whether some endpoint does not serve the certificate any more, and a
// deployment did not help.
func lost(t renew.Target, s renew.State) bool {
	return slices.ContainsFunc(t.Deploy, func(d renew.Deployer) bool {
		rec := s.Record.Deployments[d.String()]
		return !rec.LostAt.IsZero() && rec.Attempt.Failures > 0 && !s.Done(d.String())
	})
}

// unconfiguredAt is when the certificate of a target that is no longer configured ends
// soon: a quarter of its lifetime before its end, or 14 days if that is less.
func unconfiguredAt(leaf *x509.Certificate) time.Time {
	return leaf.NotAfter.Add(-min(leaf.NotAfter.Sub(leaf.NotBefore)/4, 14*daily))
}

// UnconfiguredRemedy returns the remedy for the certificate of a target that is no longer
// configured.
func UnconfiguredRemedy(name string) string {
	return "configure it again, or let the servers use another certificate, then: keypaird forget -files " + name
}

// RevokedRemedy returns the remedy for a revoked certificate of a target.
func RevokedRemedy(name string) string {
	return "replace it and its key, as the daemon does when it may order: keypaird issue " + name
}

// Failure returns the step of a target that failed most often, of those still needed,
// and its last failure.
func Failure(now time.Time, t renew.Target, s renew.State) (step backoff.Step, worst backoff.Attempt) {
	ca, worst := s.Failing(now, t)
	if worst.Failures > 0 {
		step = t.Obtaining(ca)
	}
	if refused := s.Record.TLSA.Attempt; len(t.TLSA) > 0 && refused.Failures > worst.Failures {
		step, worst = backoff.Step{Kind: backoff.Compare}, refused
	}
	for _, d := range t.Deploy {
		name := d.String()
		if last := s.Record.Deployments[name].Attempt; last.Failures > worst.Failures && !s.Done(name) {
			step, worst = backoff.Step{Kind: backoff.Deploy, Name: name}, last
		}
	}
	return step, worst
}

// A Notice is one message to the operator about a target.
type Notice struct {
	Kind        Kind
	Target      string
	Version     string    // in use; "" if there is none
	Fingerprint string    // of Version
	NotAfter    time.Time // of Version
	Error       string    // one line
	Remedy      string    // may be ""
}

const daily = 24 * time.Hour

// notice returns the notice for a target at now, and whether it is due.
func notice(now time.Time, t renew.Target, s renew.State) (n Notice, due bool) {
	alert, sent := Check(now, t, s), s.Record.Notified
	n = Notice{Kind: alert.Kind, Target: t.Name, Error: alert.Failure.Error, Remedy: alert.Failure.Remedy}
	if s.InUse != nil {
		n.NotAfter = s.InUse.NotAfter
	}
	switch alert.Kind {
	case Expiring:
		n.Error = "the certificate in use was not replaced in time"
		if v := s.Record.Revoked; !v.TimeFor(s.InUse).IsZero() {
			n.Error = "the certificate in use " + v.String() + ", and is not replaced"
			n.Remedy = cmp.Or(n.Remedy, RevokedRemedy(t.Name))
		}
		if len(t.Unconfigured) > 0 {
			n.Error = "not configured any more, not renewed, still deployed at " + strings.Join(t.Unconfigured, ", ")
			n.Remedy = UnconfiguredRemedy(t.Name)
			return n, dayAgo(sent.Expiring, now)
		}
		if x := t.External(); x != nil {
			n.Error = "the external certificate in use ends at " + n.NotAfter.UTC().Format(time.RFC3339)
			n.Remedy = cmp.Or(n.Remedy, x.ReplaceRemedy())
		}
		if alert.Failure.Failures > 0 {
			n.Error += ": " + alert.Failure.Error
		}
		return n, dayAgo(sent.Expiring, now)
	case Failing:
		return n, dayAgo(sent.Failing, now)
	}
	n.Kind = Recovered
	return n, len(t.Unconfigured) == 0 && alert.Failure.Failures == 0 && (!sent.Failing.IsZero() || !sent.Expiring.IsZero())
}

// dayAgo reports whether to repeat a notice that was sent at last. A time in the
// future was written by a wrong clock.
func dayAgo(last, now time.Time) bool { return now.Sub(last).Abs() >= daily }

// sent records that n was sent at now.
func sent(r *renew.Notified, n Notice, now time.Time) {
	at := now.UTC().Truncate(time.Second)
	r.Attempt = backoff.Attempt{}
	switch n.Kind {
	case Failing:
		r.Failing = at
	case Expiring:
		r.Expiring = at
	default:
		*r = renew.Notified{}
	}
}

// unreadable returns the notice for a target with a state that cannot be read.
func unreadable(target, what string, err error) Notice {
	return Notice{Kind: Failing, Target: target, Error: fmt.Sprintf("%s: %s", what, problem.OneLine(err)), Remedy: renew.Remedy(err)}
}
