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

	unread map[string]time.Time // by target whose record cannot be used: when that was told
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
	case s.InUse != nil && !now.Before(t.Concern(s.InUse)):
		return Expiring, last
	case last.Failures >= stubborn, last.Failures > 0 && s.InUse != nil && s.urgent(now) && t.External == nil: // who replaces a bought one does so late, and file by file
		return Failing, last
	}
	return "", last
}

// Trouble is the failure of a target that happened most often, of those that
// still matter.
func (s State) Trouble(now time.Time, t Target) Attempt {
	_, worst := s.Failing(now, t)
	if refused := s.Record.Dane.Attempt; len(t.TLSA) > 0 && refused.Failures > worst.Failures {
		worst = refused
	}
	for _, name := range t.Deploy {
		d := s.Record.Deployments[name]
		if d.Attempt.Failures > worst.Failures && !d.done(s.Fingerprint, t.Manner[name]) {
			worst = d.Attempt
		}
	}
	return worst
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

// cry tells what is to be told of jobs. It is told at least once: what could not
// be recorded is told again.
func (p *Pass) cry(ctx context.Context, jobs []*job) {
	if p.Crier == nil {
		return
	}
	type saying struct {
		kind          Kind
		error, remedy string
	}
	var order []saying
	groups := map[saying][]*job{}
	for _, j := range jobs {
		n, ok := p.notice(j)
		if !ok {
			continue
		}
		s := saying{n.Kind, n.Error, n.Remedy}
		if groups[s] == nil {
			order = append(order, s)
		}
		groups[s] = append(groups[s], j)
	}
	for _, s := range order {
		p.tell(ctx, groups[s])
	}
}

// notice says what is to be told of a job now.
func (p *Pass) notice(j *job) (Notice, bool) {
	now := p.now()
	if j.broken != nil {
		n := Notice{Kind: Failing, Target: j.Name, Error: "reading its state: " + oneLine(j.broken), Remedy: Remedy(j.broken)}
		return n, recent(p.Crier.unread[j.Name], now)
	}
	n, ok := notice(now, j.Target, j.state)
	if id, err := p.Store.LiveID(j.Name); ok && err == nil {
		n.Version = id
		if j.state.Live {
			n.Fingerprint = j.state.Fingerprint
		}
	}
	return n, ok && !j.state.Record.Told.Attempt.waits(now)
}

// tell tells of jobs for one reason, and remembers.
func (p *Pass) tell(ctx context.Context, jobs []*job) {
	notices := make([]Notice, len(jobs))
	names := make([]string, len(jobs))
	for i, j := range jobs {
		notices[i], _ = p.notice(j)
		names[i] = j.Name
	}
	err := p.notify(ctx, notices)
	if ctx.Err() != nil {
		return // told again by the next run
	}
	var again Attempt // for all of them together
	if err != nil {
		again = jobs[0].state.Record.Told.Attempt.failed(err, p.now(), time.Time{})
		p.Log.Error("nobody told", "event", string(notices[0].Kind), "certs", quoted(names), "err", err)
	} else {
		p.Log.Info("told", "event", string(notices[0].Kind), "certs", quoted(names))
	}
	for i, j := range jobs {
		p.keepTold(j, notices[i], again)
	}
}

// keepTold records that n was told, or when it is tried again.
func (p *Pass) keepTold(j *job, n Notice, again Attempt) {
	switch {
	case j.broken != nil && again.Failures > 0:
		return
	case j.broken != nil:
		if p.Crier.unread == nil {
			p.Crier.unread = map[string]time.Time{}
		}
		p.Crier.unread[j.Name] = p.now()
		return
	case again.Failures > 0:
		j.state.Record.Told.Attempt = again
	default:
		j.state.Record.told(n, p.now())
	}
	if err := p.save(j); err != nil {
		p.Log.Warn("what was told is not recorded", "cert", j.Name, "err", err)
	}
}

func (p *Pass) notify(ctx context.Context, notices []Notice) (err error) {
	defer p.recovered(&err, "event", string(notices[0].Kind))
	return p.Crier.Notifier.Notify(ctx, notices)
}

// tellAt is when a person is to be told of s next; zero if that is not known.
func (s State) tellAt(now time.Time, t Target) time.Time {
	if _, ok := notice(now, t, s); ok {
		return s.Record.Told.Attempt.Next // what could not be told
	}
	switch kind, _ := alarm(now, t, s); kind {
	case Failing:
		return s.Record.Told.Failing.Add(daily)
	case Expiring:
		return s.Record.Told.Expiring.Add(daily)
	}
	return time.Time{}
}
