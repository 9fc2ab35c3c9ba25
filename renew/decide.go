package renew

import (
	"crypto/x509"
	"slices"
	"time"

	"keypaird/renew/keypair"
	"keypaird/renew/rollover"
)

// An Action is what a target needs.
type Action string

// Actions.
const (
	None   Action = "none"   // all is as configured
	Issue  Action = "issue"  // a new certificate, then deploy it
	Take   Action = "take"   // a bought certificate's files changed; take them, then deploy it
	Deploy Action = "deploy" // the newest certificate is not in use everywhere
	Wait   Action = "wait"   // something is to be done, but not yet: see At
)

// A Decision says what a target needs, and why.
type Decision struct {
	Action Action
	Why    string
	At     time.Time // Wait: when it may be done; else: when the next certificate is due
}

// A Mood says how patient a pass is.
type Mood int

// Moods.
const (
	Patient Mood = iota // the daemon: backoff, limits and window hold
	Asked               // a person asked: neither backoff nor window are waited for
	Forced              // a person insists: a new certificate now, whatever the limits
)

const shortLived = 10 * 24 * time.Hour

// A State is what is on disk of a target.
type State struct {
	Leaf        *x509.Certificate // of the newest version; nil if there is none
	Version     string            // of Leaf
	Fingerprint string            // of Leaf
	Live        bool              // the newest version is the live one
	InUse       *x509.Certificate // of the live version; nil if there is none
	Record      Record
	Limits      map[string]Limit // by CA, where our own limit is reached; may be nil
	Opens       time.Time        // deployments may begin; zero: now
	Next        *rollover.Key    // key of the next certificate, if its record is to be published first; nil: none
}

// Decide says what to do about a target at now. The rules, in order:
//
//   - a new certificate is needed if there is none, if names, key type, CA or
//     profile are not the configured ones, or if it is due: at the instant chosen
//     within the window that its CA suggests, but with a fifth of its lifetime
//     left at the latest; where the CA suggests none, at a third of its lifetime
//     left, half if it lives under ten days;
//   - a CA whose order log allows no more certificates for these names is not asked
//     before it does, unless the operator forces it;
//   - a deployment is needed where the newest is not in use and verified, or the
//     newest was stored and not made live before a crash. It does not wait for a
//     new certificate that cannot be had yet, but for the window of deployments,
//     unless less than a quarter of the lifetime is left of what is in use;
//   - peers that know a key by TLSA records are heeded: see package rollover;
//   - what failed is tried again after its backoff, or when a person asks. A CA
//     that failed three times in a row, or once when time runs short, is left for
//     the next one, and so is one whose limit is reached when less than a quarter
//     of the lifetime is left of the newest.
//
// A bought certificate is never ordered: see [External].
func Decide(now time.Time, t Target, s State, mood Mood) Decision {
	if t.External != nil {
		return decideExternal(now, t, s, mood)
	}
	why := needsCertificate(now, t, s, mood)
	if why == "" {
		return decideDeploy(now, t, s, mood)
	}
	d := decideIssue(now, t, s, mood, why)
	if d.Action == Wait {
		if meanwhile, ok := decideMeanwhile(now, t, s, mood); ok {
			return meanwhile
		}
	}
	return d
}

// decideMeanwhile says whether what is stored is to be put in use although a
// new certificate is needed.
func decideMeanwhile(now time.Time, t Target, s State, mood Mood) (Decision, bool) {
	if s.Leaf == nil || !now.Before(s.Leaf.NotAfter) {
		return Decision{}, false
	}
	d := decideDeploy(now, t, s, mood)
	return d, d.Action == Deploy
}

// decideIssue says whether the certificate that is needed may be ordered.
func decideIssue(now time.Time, t Target, s State, mood Mood, why string) Decision {
	if held := s.Rollover(t).Held(now); held != "" {
		return Decision{Wait, why + ", but " + held, s.Record.TLSA.QueryAt}
	}
	if cas, next, but := s.availableCAs(now, t, mood); len(cas) == 0 {
		return Decision{Wait, why + ", but " + but.Error(), next}
	}
	return Decision{Issue, why, s.Due()}
}

// decideDeploy says whether the newest certificate is to be put in use.
func decideDeploy(now time.Time, t Target, s State, mood Mood) Decision {
	d := whatToDeploy(now, t, s, mood)
	if d.Action == Deploy && mood == Patient && s.Opens.After(now) && !s.Urgent(now) {
		return Decision{Wait, d.Why + "; the window for deployments is closed", s.Opens}
	}
	return d
}

func whatToDeploy(now time.Time, t Target, s State, mood Mood) Decision {
	waiting := Decision{None, "not due", s.Due()}
	for _, name := range t.Deploy {
		d := s.Record.Deployments[name]
		if d.Done(s.Fingerprint, t.Manner[name]) {
			continue
		}
		if mood == Patient && d.Attempt.Waits(now) {
			if waiting.Action == None || d.Attempt.Next.Before(waiting.At) {
				waiting = Decision{Wait, "deployment to " + name + " failed", d.Attempt.Next}
			}
			continue
		}
		switch {
		case d.Deployed != s.Fingerprint:
		case t.Manner[name].Lost:
			return Decision{Deploy, "a file of deployment " + name + " is gone", s.Due()}
		case d.Manner != t.Manner[name].Sum:
			return Decision{Deploy, "deployment " + name + " was changed", s.Due()}
		default:
			return Decision{Deploy, "deployed to " + name + " but not verified", s.Due()}
		}
		return Decision{Deploy, "stored but not deployed", s.Due()}
	}
	if waiting.Action == None && !s.Live {
		return Decision{Deploy, "stored but not live", s.Due()}
	}
	return waiting
}

// Done reports whether nothing is missing for a certificate in a deployment.
func (d Deployment) Done(fingerprint string, m Manner) bool {
	return d.Verified == fingerprint && d.Manner == m.Sum && !m.Lost
}

// Due is when the newest certificate is to be replaced; zero if there is none.
func (s State) Due() time.Time {
	if s.Leaf == nil {
		return time.Time{}
	}
	if !s.advised() {
		return Due(s.Leaf)
	}
	return earlier(s.Record.Advice.Chosen, lastDue(s.Leaf))
}

// lastDue is when a certificate is to be replaced, whatever the CA says.
func lastDue(leaf *x509.Certificate) time.Time {
	return leaf.NotAfter.Add(-leaf.NotAfter.Sub(leaf.NotBefore) / 5)
}

// advised reports whether the CA said when it wants the newest replaced.
func (s State) advised() bool {
	a := s.Record.Advice
	return a.Fingerprint == s.Fingerprint && !a.Chosen.IsZero()
}

// Due is when a certificate is to be replaced of which the CA says nothing.
func Due(leaf *x509.Certificate) time.Time {
	life := leaf.NotAfter.Sub(leaf.NotBefore)
	left := life / 3
	if life < shortLived {
		left = life / 2
	}
	return leaf.NotAfter.Add(-left)
}

// OverdueAt is when a live certificate of which the CA says nothing is overdue: it
// should have been replaced by then.
func OverdueAt(leaf *x509.Certificate) time.Time { return halfway(Due(leaf), leaf) }

// halfway is when half of what was left of leaf when it was due is gone.
func halfway(due time.Time, leaf *x509.Certificate) time.Time {
	return due.Add(leaf.NotAfter.Sub(due) / 2)
}

// OverdueAt is when the certificate in use is overdue: half of what was left when
// it was due is gone. Zero: nothing is in use. A certificate that has a successor
// was due, at the latest, when that was made: what its CA said of it is forgotten
// by then.
func (s State) OverdueAt(t Target) time.Time {
	switch {
	case s.InUse == nil:
		return time.Time{}
	case t.External != nil:
		return t.overdueAt(s.InUse)
	case s.Live:
		return halfway(s.Due(), s.InUse)
	case s.Leaf == nil:
		return OverdueAt(s.InUse)
	}
	due := later(Due(s.InUse), earlier(s.Leaf.NotBefore, lastDue(s.InUse)))
	return halfway(due, s.InUse)
}

// needsCertificate says why a new certificate is needed, or "".
func needsCertificate(now time.Time, t Target, s State, mood Mood) string {
	rec := s.Record
	known := rec.Fingerprint != "" && rec.Fingerprint == s.Fingerprint // who issued the newest, and as what
	switch {
	case s.Leaf == nil:
		return "no certificate"
	case mood == Forced:
		return "forced"
	case !slices.Equal(Names(s.Leaf), canonical(t.Names)):
		return "names changed"
	case keypair.KeyType(s.Leaf.PublicKey) != t.KeyType && (len(t.TLSA) == 0 || s.Rollover(t).Ready(now)):
		return "key type changed"
	case known && !slices.Contains(t.CAs, rec.CA):
		return "issued by " + rec.CA + ", which sign_with no longer names"
	case known && rec.Profile != t.Profile:
		return "profile changed"
	case !now.Before(s.Leaf.NotAfter):
		return "expired"
	case now.Before(s.Due()):
		return ""
	case s.advised() && now.Before(Due(s.Leaf)):
		return "its CA asks for it"
	}
	return "due"
}

// Failing returns the last failure of obtaining and the CA it was at. It is none
// where no certificate is needed any more: the clock was set right, or the
// configuration.
func (s State) Failing(now time.Time, t Target) (ca string, last Attempt) {
	if t.External != nil {
		if needsFiles(now, t, s, Patient) == "" {
			return "", Attempt{}
		}
		return "", s.Record.External.Attempt
	}
	if needsCertificate(now, t, s, Patient) == "" {
		return "", Attempt{}
	}
	for name, a := range s.Record.Orders {
		if a.Failures > 0 && contains(t.CAs, name) && (last.Failures == 0 || a.At.After(last.At) || a.At.Equal(last.At) && name < ca) {
			ca, last = name, a
		}
	}
	return ca, last
}
