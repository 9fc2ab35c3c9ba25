package renew

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"keypaird/renew/tlsa"
	"slices"
	"strings"
	"time"
)

// How often TLSA records are looked at: soon after a look that did not find out
// or found something wrong, as often as they may change while one is waited for,
// and every hour otherwise.
const (
	lookAgain = 10 * time.Minute
	lookSoon  = 5 * time.Minute
	lookRest  = time.Hour

	lookTimeout = time.Minute // for all looks of a pass
)

var errLookTimeout = errors.New("no answer in time")

// watchAll sees that each target with TLSA records has a next key, and looks at
// the records of those for which it is time.
func (p *Pass) watchAll(ctx context.Context, jobs []*job) {
	for _, j := range jobs {
		p.forget(j)
	}
	jobs = slices.DeleteFunc(slices.Clone(jobs), func(j *job) bool { return len(j.TLSA) == 0 || j.broken != nil })
	p.each(len(jobs), func(i int) {
		if err := p.announce(ctx, jobs[i]); err != nil && ctx.Err() == nil {
			p.Log.Error("no next key", "cert", jobs[i].Name, "err", err, "remedy", Remedy(err))
		}
	})
	type look struct {
		job  *job
		name string
		view View
		err  error
	}
	var looks []*look
	for _, j := range jobs {
		if p.Viewer != nil && p.watches(j) {
			for _, name := range j.TLSA {
				looks = append(looks, &look{job: j, name: name})
			}
		}
	}
	looking, cancel := context.WithTimeoutCause(ctx, lookTimeout, errLookTimeout)
	defer cancel()
	p.each(len(looks), func(i int) {
		l := looks[i]
		defer p.recovered(&l.err, "cert", l.job.Name)
		l.view, l.err = p.Viewer.View(looking, l.job.Target, l.name)
	})
	if ctx.Err() != nil {
		return
	}
	for _, l := range looks {
		p.note(l.job, l.name, l.view, l.err)
	}
	for i, l := range looks {
		if i == 0 || looks[i-1].job != l.job {
			p.watched(l.job)
		}
	}
}

// watches reports whether the records of a target are to be looked at now: when
// it is time, when a person asks, and before an order.
func (p *Pass) watches(j *job) bool {
	now, at := p.now(), j.state.Record.Dane.Look
	return p.Mood != Patient || !at.After(now) || at.Sub(now) > lookRest+time.Minute || needsCertificate(now, j.Target, j.state, p.Mood) != ""
}

// note takes in one look.
func (p *Pass) note(j *job, name string, v View, err error) {
	d := &j.state.Record.Dane
	if d.Names == nil {
		d.Names = map[string]Sighting{}
	}
	before := d.Names[name].again(d.Made, p.now())
	if err == nil {
		err = d.room(j.Target, name, v)
	}
	if err != nil {
		d.Names[name] = before.missed(err)
		p.Log.Info("TLSA records not seen", "cert", j.Name, "name", name, "err", err)
		return
	}
	var next []byte
	if j.state.Next != nil {
		next = j.state.Next.SPKI
	}
	g := before.seen(v, next, p.now())
	d.Names[name] = g
	if len(g.Records) > 0 && !g.Secure && (before.Secure || len(before.Records) == 0) {
		p.Log.Warn("TLSA records that DNSSEC does not vouch for, says the resolver: peers ignore such", "cert", j.Name, "name", name)
	}
	switch {
	case before.Since.IsZero() && !g.Since.IsZero():
		p.Log.Info("TLSA record of the next key seen", "cert", j.Name, "name", name, "trusted", g.trusted())
	case !before.Since.IsZero() && g.Since.IsZero():
		p.Log.Warn("TLSA record of the next key is gone", "cert", j.Name, "record", tlsa.ZoneLine(name, j.state.Next.TLSA()))
	}
}

// watched draws conclusions from the looks at a target, and keeps them.
func (p *Pass) watched(j *job) {
	now, d := p.now(), &j.state.Record.Dane
	for name := range d.Names { // that are no longer configured
		if !contains(j.TLSA, name) {
			delete(d.Names, name)
		}
	}
	if err := j.unwelcome(now); err != nil {
		var held *HeldError // which a person who asks is told of anyhow
		if d.Attempt.Failures == 0 && (p.Mood == Patient || !errors.As(err, &held)) {
			p.Log.Warn("not in harmony with TLSA records", "cert", j.Name, "err", err, "remedy", Remedy(err))
		}
		d.Attempt = d.Attempt.Failed(err, now, time.Time{})
	} else {
		d.Attempt = Attempt{}
	}
	d.Look = j.lookAt(now).UTC().Truncate(time.Second)
	if err := p.save(j); err != nil {
		p.Log.Warn("what TLSA records there are is not recorded", "cert", j.Name, "err", err)
	}
}

// unwelcome is why the records that were seen need a person: peers refuse what is
// in use, or would refuse the first certificate.
func (j *job) unwelcome(now time.Time) error {
	if names := j.state.Refused(j.Target); len(names) > 0 {
		return &RefusedError{Names: names, Record: tlsa.Record(j.state.InUse.RawSubjectPublicKeyInfo), Rolls: j.state.rolls(now, j.Target), Target: j.Name}
	}
	if j.state.Held(now, j.Target) != "" && len(j.missing()) > 0 {
		return j.hold(now)
	}
	return nil
}

// lookAt is when to look again.
func (j *job) lookAt(now time.Time) time.Time {
	wait := lookRest
	d := j.state.Record.Dane
	for _, name := range j.TLSA {
		switch g := d.Names[name]; {
		case g.Error != "", d.Attempt.Failures > 0:
			wait = min(wait, lookAgain)
		case g.Since.IsZero():
			wait = min(wait, max(g.TTL, lookSoon))
		case g.trusted().After(now):
			wait = min(wait, g.trusted().Sub(now)+time.Second)
		}
	}
	return now.Add(wait)
}

// rolled makes the next key after an order that began and replaced before, and
// says which records are to be published now.
func (p *Pass) rolled(ctx context.Context, j *job, began time.Time, before *x509.Certificate) {
	if len(j.TLSA) == 0 {
		return
	}
	if before != nil && tlsa.Record(before.RawSubjectPublicKeyInfo) == tlsa.Record(j.state.Leaf.RawSubjectPublicKeyInfo) {
		why := "the TLSA record of the next key was not visible everywhere for two TTLs"
		if j.state.rolls(began, j.Target) {
			why = "it is that of an order that was under way before"
		}
		p.Log.Warn("key kept", "cert", j.Name, "why", why)
	}
	if err := p.announce(ctx, j); err != nil {
		p.Log.Error("no next key", "cert", j.Name, "err", err, "remedy", Remedy(err))
		return
	}
	for _, line := range j.missing() {
		p.Log.Warn("TLSA record to publish", "cert", j.Name, "record", line)
	}
}

// missing lists the records that are to be published and were not seen.
func (j *job) missing() []string {
	var lines []string
	for _, name := range j.TLSA {
		lines = append(lines, j.state.lacking(name, j.state.Record.Dane.Names[name].Records)...)
	}
	return lines
}

// lacking lists what is to be published at a name beside records: the records of
// the keys of what is in use, of what is stored, and of what comes next.
func (s State) lacking(name string, records []string) []string {
	var keys [][]byte
	for _, leaf := range []*x509.Certificate{s.InUse, s.Leaf} {
		if leaf != nil {
			keys = append(keys, leaf.RawSubjectPublicKeyInfo)
		}
	}
	if s.Next != nil {
		keys = append(keys, s.Next.SPKI)
	}
	var lines []string
	for _, spki := range keys {
		if line := tlsa.ZoneLine(name, tlsa.Record(spki)); !tlsa.NamesKey(records, spki) && !contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return lines
}

// Compare says whether peers that heed these records at a name refuse what is in
// use, and which are to be published besides.
func (s State) Compare(name string, v View) (refused bool, missing []string) {
	return s.InUse != nil && tlsa.Refuses(v.Records, s.InUse), s.lacking(name, v.Records)
}

// hold is why a first certificate is not ordered.
func (j *job) hold(now time.Time) error {
	unknown := slices.ContainsFunc(j.TLSA, func(name string) bool { return j.state.Record.Dane.Names[name].Error != "" })
	return &HeldError{Why: j.state.Held(now, j.Target), Unknown: unknown, Records: j.missing()}
}

// refusal is why what is needed is not ordered.
func (j *job) refusal(d Decision, now time.Time) error {
	if j.state.Held(now, j.Target) != "" {
		return j.hold(now)
	}
	return &BudgetError{j.Name, d.Why, d.At}
}

// A HeldError reports a first certificate that peers would refuse for the TLSA
// records there are.
type HeldError struct {
	Why     string
	Unknown bool     // it could not be found out which there are
	Records []string // to publish
}

func (e *HeldError) Error() string { return "not ordered, " + e.Why }

// Remedy says what the operator can do about it.
func (e *HeldError) Remedy() string {
	if e.Unknown {
		return "see that the name servers answer, or correct resolvers in the [dns.*] table of that zone; or take tlsa out to go on without"
	}
	if len(e.Records) == 0 {
		return "wait: the records are there, and are to be visible for two TTLs"
	}
	return "publish this beside the records that are there, and keypaird goes on when it was visible for two TTLs: " + strings.Join(e.Records, "\n")
}

// A RefusedError reports TLSA records that have peers refuse what is in use.
type RefusedError struct {
	Target string
	Names  []string
	Record string // of the key in use
	Rolls  bool   // the record of the next key can be trusted in
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("none of the TLSA records of %s is that of the key in use: peers that heed them refuse it", strings.Join(e.Names, ", "))
}

// Remedy says what the operator can do about it.
func (e *RefusedError) Remedy() string {
	lines := make([]string, len(e.Names))
	for i, name := range e.Names {
		lines[i] = tlsa.ZoneLine(name, e.Record)
	}
	text := "publish this: " + strings.Join(lines, "\n")
	if e.Rolls {
		text += "\nor have the next key used, whose record is there: keypaird issue -force " + e.Target
	}
	return text
}
