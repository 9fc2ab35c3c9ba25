package renew

import (
	"errors"
	"slices"
	"time"

	"keypaird/renew/backoff"
	"keypaird/renew/keypair"
	"keypaird/renew/lifetime"
)

// An Action is the next step for a target.
type Action string

// Actions.
const (
	None   Action = "none"   // all is as configured
	Issue  Action = "issue"  // obtain a certificate, or import its files, then deploy it
	Deploy Action = "deploy" // the newest certificate is not in use everywhere
	Wait   Action = "wait"   // there is something to do, but not before At
)

// A Decision says what a target needs, and why.
type Decision struct {
	Action Action
	Why    string
	At     time.Time // Wait: when it may be done, zero: not known; else: when the next certificate is due
}

// holdCheck is when to decide again about what waits until a time that is not known.
const holdCheck = 10 * time.Minute

// next returns when to decide again.
func (d Decision) next(now time.Time) time.Time {
	if d.At.IsZero() {
		return now.Add(holdCheck)
	}
	return d.At
}

// until returns when a limit ends; zero: not known.
func until(l Limit, now time.Time) time.Time {
	if l.Until.After(now) {
		return l.Until
	}
	return time.Time{}
}

// A Mode says which waits and limits a pass observes.
type Mode int

// Modes.
const (
	Scheduled Mode = iota // by the daemon: backoff, limits and the deploy window hold
	Manual                // by the operator: only limits hold
	Force                 // by the operator: a new certificate now, whatever the limits
	Redeploy              // by the operator: what is stored is deployed again, nothing is ordered
)

// Decide says what to do about a target at now. The rules, in order:
//
//   - a new certificate is needed if there is none, if names, key type, CA or
//     profile are not the configured ones, or if it is due: at the instant chosen
//     within the window that its CA suggests, but with a fifth of its lifetime
//     left at the latest; where the CA suggests none, at a third of its lifetime
//     left, half if it lives under ten days; if it was revoked, at once, with
//     another key;
//   - where several machines share the certificate, one that may not order waits, and
//     deploys the newest when it may;
//   - a CA whose order log allows no more certificates for these names is not asked
//     before it does, unless the operator forces it;
//   - a deployment is needed where the newest is not in use and verified, or the
//     newest was stored and not made live before a crash, or its stored files were
//     repaired. It does not wait for a new certificate that cannot be had yet, but
//     for the window of deployments, unless less than a quarter of the lifetime is
//     left of what is in use;
//   - peers that know a key by TLSA records are heeded: see package rollover;
//   - what failed is tried again after its backoff, or by a manual pass. A CA
//     that failed three times in a row, or once when time runs short, is left for
//     the next one, and so is one whose limit is reached when less than a quarter
//     of the lifetime is left of the newest, or it was revoked.
//
// An external certificate is never ordered: its files are imported when they have
// changed since they were last. Those that cannot be imported are tried again after
// a backoff, or when they change again; those that follow others at once have to
// wait a little.
func Decide(now time.Time, t Target, s State, mode Mode) Decision {
	if mode == Redeploy {
		return decideRedeploy(now, t, s)
	}
	why := needsCertificate(now, t, s, mode)
	if why == "" {
		return t.nextReminder(now, s, decideDeploy(now, t, s, mode))
	}
	d := t.nextReminder(now, s, decideIssue(now, t, s, mode, why))
	if d.Action == Wait {
		if meanwhile, ok := decideMeanwhile(now, t, s, mode); ok {
			return meanwhile
		}
	}
	return d
}

// decideRedeploy decides about deploying the stored certificate again.
func decideRedeploy(now time.Time, t Target, s State) Decision {
	if s.Leaf == nil {
		return Decision{Action: None, Why: "no certificate"}
	}
	if !now.Before(s.Leaf.NotAfter) {
		return Decision{Action: Wait, Why: "the stored certificate has ended"}
	}
	return whatToDeploy(now, t, s, Redeploy)
}

// decideMeanwhile decides about deploying the stored certificate while the new one
// that is needed has to wait.
func decideMeanwhile(now time.Time, t Target, s State, mode Mode) (Decision, bool) {
	if s.Leaf == nil || !now.Before(s.Leaf.NotAfter) {
		return Decision{}, false
	}
	d := decideDeploy(now, t, s, mode)
	return d, d.Action == Deploy
}

// decideIssue decides whether the certificate that is needed may be ordered now.
func decideIssue(now time.Time, t Target, s State, mode Mode, why string) Decision {
	if hold := s.OrderHold; hold.Err != nil {
		return Decision{Wait, why + ", but " + hold.Err.Error(), until(hold, now)}
	}
	if held := s.Rollover(t).Forced(mode == Force).Held(now); held != "" {
		return Decision{Wait, why + ", but " + held, s.Record.TLSA.QueryAt}
	}
	if issuers, next, but := s.availableIssuers(now, t, mode); len(issuers) == 0 {
		return Decision{Wait, why + ", but " + but.Error(), next}
	}
	return Decision{Issue, why, s.Due()}
}

// needsCertificate returns why a new certificate is needed, or "".
func needsCertificate(now time.Time, t Target, s State, mode Mode) string {
	if t.External() != nil {
		return needsFiles(now, s, mode)
	}
	ca := s.issuer()
	switch {
	case s.Leaf == nil:
		return "no certificate"
	case mode == Force:
		return "forced"
	case t.NewKey:
		return "a new key was asked for"
	case !slices.Equal(keypair.Names(s.Leaf), keypair.CanonicalNames(t.Names)):
		return "names changed"
	case keypair.KeyType(s.Leaf.PublicKey) != t.KeyType && (len(t.TLSA) == 0 || s.Rollover(t).Ready(now)):
		return "key type changed"
	case ca != "" && t.issuer(ca) == nil:
		return "issued by " + ca + ", which sign_with no longer names"
	case ca != "" && s.Record.Profile != t.Profile:
		return "profile changed"
	case !now.Before(s.Leaf.NotAfter):
		return "expired"
	case s.revoked(s.Leaf):
		return "it " + s.Record.Revoked.String()
	case now.Before(s.Due()):
		return ""
	case s.suggested() && now.Before(lifetime.Due(s.Leaf)):
		return "its CA asks for it"
	}
	return "due"
}

// availableIssuers lists the issuers that may be asked at now. If there is none, next
// is when one may be, and why says what keeps it until then. A scheduled pass stays
// with a CA until that keeps failing or time runs short.
func (s State) availableIssuers(now time.Time, t Target, mode Mode) (issuers []Issuer, next time.Time, why error) {
	for _, issuer := range t.Issuers {
		last, limit := s.Record.Orders[issuer.String()], s.Limits[issuer.String()]
		at, because := s.waits(now, t, last)
		waits := mode == Scheduled && because != nil
		limited := mode != Force && limit.Until.After(now)
		if !waits && !limited {
			issuers = append(issuers, issuer)
			if mode == Scheduled {
				break
			}
			continue
		}
		if limited && (!waits || limit.Until.After(at)) {
			at, because = limit.Until, limit.Err
		}
		if next.IsZero() || at.Before(next) {
			next, why = at, because
		}
		failing := last.TryNextCA && (last.Failures >= backoff.Persistent || s.Urgent(now))
		if !failing && !(limited && (lifetime.EndsSoon(s.Leaf, now) || s.revoked(s.Leaf))) {
			break
		}
	}
	return issuers, next, why
}

var (
	errLastTry  = errors.New("the last try failed")
	errImported = errors.New("others were imported just now")
)

// importPause is the shortest time between two imports by the daemon: if two programs
// overwrite each other's files, the servers are not reloaded all the time.
const importPause = time.Minute

// waits returns why a scheduled pass does not ask an issuer after its last failure,
// last, and until when; nil: it may ask. Files that could not be imported are tried
// again when they change.
func (s State) waits(now time.Time, t Target, last backoff.Attempt) (until time.Time, why error) {
	from := s.Record.External
	if last.Waits(now) && (t.External() == nil || from.FailedMark == s.Mark) {
		return last.Next, errLastTry
	}
	age := now.Sub(from.ReplacedAt) // below zero if the clock was put back
	if t.External() != nil && s.imported() && now.Before(s.Leaf.NotAfter) && age >= 0 && age < importPause {
		return from.ReplacedAt.Add(importPause), errImported
	}
	return time.Time{}, nil
}

// decideDeploy decides whether to deploy the newest certificate now.
func decideDeploy(now time.Time, t Target, s State, mode Mode) Decision {
	d := whatToDeploy(now, t, s, mode)
	if d.Action != Deploy || mode != Scheduled || s.Urgent(now) {
		return d
	}
	if hold := s.DeployHold; hold.Err != nil {
		return Decision{Wait, d.Why + "; " + hold.Err.Error(), until(hold, now)}
	}
	if s.NextDeployWindow.After(now) {
		return Decision{Wait, d.Why + "; the deploy window is closed", s.NextDeployWindow}
	}
	return d
}

func whatToDeploy(now time.Time, t Target, s State, mode Mode) Decision {
	waiting := Decision{None, "not due", s.Due()}
	for _, deployer := range t.Deploy {
		name := deployer.String()
		d, spec := s.Record.Deployments[name], s.Specs[name]
		done := s.Done(name)
		if done && mode != Redeploy {
			continue
		}
		if mode == Scheduled && d.Attempt.Waits(now) {
			if waiting.Action == None || d.Attempt.Next.Before(waiting.At) {
				waiting = Decision{Wait, "deployment to " + name + " failed", d.Attempt.Next}
			}
			continue
		}
		switch {
		case done:
			return Decision{Deploy, "asked for", s.Due()}
		case d.Deployed != s.Fingerprint:
		case d.ConfigHash != spec.ConfigHash:
			return Decision{Deploy, "deployment " + name + " was changed", s.Due()}
		case spec.Differs != "":
			return Decision{Deploy, "deployment " + name + ": " + spec.Differs, s.Due()}
		case !d.LostAt.IsZero():
			return Decision{Deploy, "deployed to " + name + " but not served any more", s.Due()}
		default:
			return Decision{Deploy, "deployed to " + name + " but not verified", s.Due()}
		}
		return Decision{Deploy, "stored but not deployed", s.Due()}
	}
	switch {
	case waiting.Action == None && !s.Live:
		return Decision{Deploy, "stored but not live", s.Due()}
	case waiting.Action == None && s.repaired:
		return Decision{Deploy, "stored files were damaged", s.Due()}
	}
	return waiting
}

// needsFiles returns why the files of an external certificate must be read, or "".
func needsFiles(now time.Time, s State, mode Mode) string {
	switch {
	case s.Leaf == nil:
		return "no certificate"
	case !s.imported():
		return "replaced by an external certificate"
	case s.Record.External.Mark != s.Mark:
		return "its files changed"
	case !now.Before(s.Leaf.NotAfter):
		return "expired"
	case mode == Force:
		return "forced"
	}
	return ""
}

// nextReminder completes the decision about an external certificate, which is never
// due: the next event is a notice to the operator.
func (t Target) nextReminder(now time.Time, s State, d Decision) Decision {
	if t.External() == nil {
		return d
	}
	if d.Action == None {
		d.Why = "external"
	}
	switch d.Action {
	case Issue:
		d.At = time.Time{}
	case None, Deploy:
		d.At = s.Leaf.NotAfter
		if at := lifetime.ExternalOverdue(s.Leaf); now.Before(at) {
			d.At = at
		}
	}
	return d
}

// Failing returns the last failed order and its CA; the zero value if no certificate
// is needed any more, since the clock or the configuration was corrected.
func (s State) Failing(now time.Time, t Target) (ca string, last backoff.Attempt) {
	if needsCertificate(now, t, s, Scheduled) == "" {
		return "", backoff.Attempt{}
	}
	for name, a := range s.Record.Orders {
		if a.Failures > 0 && t.issuer(name) != nil && (last.Failures == 0 || a.At.After(last.At) || a.At.Equal(last.At) && name < ca) {
			ca, last = name, a
		}
	}
	return ca, last
}
