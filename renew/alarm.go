package renew

import (
	"cmp"
	"context"
	"time"
)

// A Kind says what a person is told of.
type Kind string

// Kinds.
const (
	Failing   Kind = "failing"   // something fails again and again, or when time runs short
	Expiring  Kind = "expiring"  // what is in use ends soon and was not replaced
	Recovered Kind = "recovered" // what was told of is over
)

// A Notice is what a person is told of a target.
type Notice struct {
	Kind        Kind
	Target      string
	Version     string    // in use; "" if there is none
	Fingerprint string    // of Version
	NotAfter    time.Time // of Version
	Error       string    // one line
	Remedy      string    // may be ""
}

// A Notifier tells a person.
type Notifier interface {
	// Notify tells of notices that differ only in their target. It is called
	// again for those for which it returned an error.
	Notify(ctx context.Context, notices []Notice) error
}

// A Crier remembers what was told, in the records, and tells no more often than
// daily.
type Crier struct {
	Notifier Notifier // required

	unread map[string]Told // by target whose record could not be used: what was told of that
}

// Told is what a person was told of a target since all was well.
type Told struct {
	Failing  time.Time `json:"failing,omitzero"`  // last; zero: not told
	Expiring time.Time `json:"expiring,omitzero"` // likewise
	Attempt  Attempt   `json:"attempt,omitzero"`  // to tell
}

const daily = 24 * time.Hour

// alarm says what is wrong with a target at now, "" if nothing is that a person
// needs to know, and the failure behind it, if there is one.
func alarm(now time.Time, t Target, s State) (Kind, Attempt) {
	last := s.Trouble(now, t)
	switch {
	case s.InUse != nil && !now.Before(s.Concern(t)):
		return Expiring, last
	case last.Failures >= stubborn, last.Failures > 0 && s.InUse != nil && s.urgent(now) && t.External == nil: // who replaces a bought one does so late, and file by file
		return Failing, last
	}
	return "", last
}

// Trouble is the failure of a target that happened most often, of those that
// still matter.
func (s State) Trouble(now time.Time, t Target) Attempt {
	_, worst := s.trouble(now, t)
	return worst
}

// trouble is Trouble, and where it is: what is in trouble there, other targets
// are in for the same reason, in other words perhaps.
func (s State) trouble(now time.Time, t Target) (where string, worst Attempt) {
	ca, worst := s.Failing(now, t)
	where = "obtaining " + ca
	if t.External != nil {
		where = "files of " + t.Name
	}
	if refused := s.Record.Dane.Attempt; len(t.TLSA) > 0 && refused.Failures > worst.Failures {
		where, worst = "tlsa", refused
	}
	for _, name := range t.Deploy {
		d := s.Record.Deployments[name]
		if d.Attempt.Failures > worst.Failures && !d.done(s.Fingerprint, t.Manner[name]) {
			where, worst = "deploying "+name, d.Attempt
		}
	}
	return where, worst
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

// notice says what is to be told of a target at now, if anything is.
func notice(now time.Time, t Target, s State) (Notice, bool) {
	kind, cause := alarm(now, t, s)
	told := s.Record.Told
	n := Notice{Kind: kind, Target: t.Name, Error: cause.Error, Remedy: cause.Remedy}
	if s.InUse != nil {
		n.NotAfter = s.InUse.NotAfter
	}
	switch kind {
	case Expiring:
		n.Error = "what is in use was not replaced in time"
		if t.External != nil {
			n.Error = "the bought certificate in use ends at " + n.NotAfter.UTC().Format(time.RFC3339)
			n.Remedy = cmp.Or(n.Remedy, t.External.replace())
		}
		if cause.Failures > 0 {
			n.Error += ": " + cause.Error
		}
		return n, recent(told.Expiring, now)
	case Failing:
		return n, recent(told.Failing, now)
	}
	n.Kind = Recovered
	return n, cause.Failures == 0 && (!told.Failing.IsZero() || !told.Expiring.IsZero())
}

// recent reports whether something told at last is to be told again.
func recent(last, now time.Time) bool { return now.Sub(last).Abs() >= daily }

// told notes that n was told at now.
func (r *Record) told(n Notice, now time.Time) {
	at := now.UTC().Truncate(time.Second)
	r.Told.Attempt = Attempt{}
	switch n.Kind {
	case Failing:
		r.Told.Failing = at
	case Expiring:
		r.Told.Expiring = at
	default:
		r.Told = Told{}
	}
}

// tellAt is when a person is to be told of a job next; zero if that is not known.
func (p *Pass) tellAt(now time.Time, j *job) time.Time {
	told := j.state.Record.Told
	if _, ok := notice(now, j.Target, j.state); ok || p.readAgain(j) { // what could not be told, or had no turn yet
		return later(told.Attempt.Next, now)
	}
	switch kind, _ := alarm(now, j.Target, j.state); kind {
	case Failing:
		return told.Failing.Add(daily)
	case Expiring:
		return told.Expiring.Add(daily)
	}
	return time.Time{}
}
