package renew

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"keypaird/renew/keypair"
)

// An External is where a target's certificate comes from that somebody else
// obtains: it is bought, or made by a CA without ACME. It is never ordered. Its
// files are copied into the store when they have changed, and what is there goes
// the way of all pairs from then on. A pair that cannot be used is not copied;
// the one before stays.
type External struct {
	keypair.Source
	Mark string // of the files as they are
}

// Taken is what a record knows of the files of an external certificate.
type Taken struct {
	Mark        string    `json:"mark,omitempty"`        // of the files that were taken last
	Fingerprint string    `json:"fingerprint,omitempty"` // of the version they became
	Again       time.Time `json:"again,omitzero"`        // they took the place of others, of the same source
	Tried       string    `json:"tried,omitempty"`       // mark of the files that could not be taken
	Attempt     Attempt   `json:"attempt,omitzero"`      // of taking them, since the last success
}

// takePause is how long the daemon leaves files alone that took the place of
// others: where two programs write there in turn, the servers are not reloaded
// all the time.
const takePause = time.Minute

// longNotice is how long before its end a bought certificate is a concern at the
// earliest: long enough to buy another, not so long that nobody listens any more.
const longNotice = 30 * 24 * time.Hour

// overdueAt is when leaf, which is live, is overdue. Of an external certificate
// nothing but its end is known.
func (t Target) overdueAt(leaf *x509.Certificate) time.Time {
	at := OverdueAt(leaf)
	if t.External == nil {
		return at
	}
	return later(at, leaf.NotAfter.Add(-longNotice))
}

// decideExternal is Decide for a bought certificate:
//
//   - its files are taken when they have changed since they were last; those that
//     cannot be taken are tried again after a backoff, or when they change again,
//     and those that follow others at once have to wait a little;
//   - a deployment is needed as for any other.
func decideExternal(now time.Time, t Target, s State, mood Mood) Decision {
	why := needsFiles(now, t, s, mood)
	if why == "" {
		d := decideDeploy(now, t, s, mood)
		if d.Action == None {
			d.Why = "bought"
		}
		if d.Action != Wait {
			d.At = t.worry(now, s.Leaf)
		}
		return d
	}
	but, until := s.keepsOff(now, t)
	if mood != Patient || but == "" {
		return Decision{Take, why, time.Time{}}
	}
	if meanwhile, ok := decideMeanwhile(now, t, s, mood); ok {
		return meanwhile
	}
	return Decision{Wait, why + ", but " + but, until}
}

// keepsOff says why files that are to be taken are left alone at now, and until
// when; "" if nothing does.
func (s State) keepsOff(now time.Time, t Target) (why string, until time.Time) {
	last := s.Record.External
	if last.Tried == t.External.Mark && last.Attempt.Waits(now) {
		return "the last try failed", last.Attempt.Next
	}
	age := now.Sub(last.Again) // below zero if the clock was put back
	if s.Leaf != nil && now.Before(s.Leaf.NotAfter) && last.Fingerprint == s.Fingerprint && age >= 0 && age < takePause {
		return "others were taken just now", last.Again.Add(takePause)
	}
	return "", time.Time{}
}

// needsFiles says why the files of a bought certificate are to be read, or "".
func needsFiles(now time.Time, t Target, s State, mood Mood) string {
	last := s.Record.External
	switch {
	case s.Leaf == nil:
		return "no certificate"
	case last.Fingerprint != s.Fingerprint:
		return "a bought certificate takes its place"
	case last.Mark != t.External.Mark:
		return "its files changed"
	case !now.Before(s.Leaf.NotAfter):
		return "expired"
	case mood == Forced:
		return "forced"
	}
	return ""
}

// worry is when a person may have to be told of leaf next.
func (t Target) worry(now time.Time, leaf *x509.Certificate) time.Time {
	if at := t.overdueAt(leaf); now.Before(at) {
		return at
	}
	return leaf.NotAfter
}

// ReplaceRemedy is what can be done about an external certificate that ends.
func (x *External) ReplaceRemedy() string {
	return x.Replace() + ", or have keypaird obtain one: http-01 or dns-01 instead of external"
}

// Read is that of the [keypair.Source], with remedies that name what can be
// written in the configuration.
func (x *External) Read(now time.Time) (*keypair.Pair, string, error) {
	p, mark, err := x.Source.Read(now)
	if err != nil {
		err = &filesError{err, x}
	}
	return p, mark, err
}

// A filesError is an error of files that the configuration names.
type filesError struct {
	error
	files *External
}

func (e *filesError) Unwrap() error { return e.error }

// Remedy says what the operator can do about it.
func (e *filesError) Remedy() string {
	var dates *keypair.DateError
	switch {
	case errors.As(e.error, &dates) && !dates.Now.Before(dates.NotAfter):
		return e.files.ReplaceRemedy()
	case errors.Is(e.error, fs.ErrNotExist):
		return "put it there, or correct external in the configuration"
	}
	return Remedy(e.error)
}

// take copies the files of a bought certificate into the store. Nothing in use
// changes yet.
func (p *Pass) take(ctx context.Context, j *job) error {
	p.step(j.Name, "reading its files")
	pair, mark, err := p.readFiles(j)
	if err == nil {
		err = p.keep(j, pair, mark)
	}
	if err == nil || ctx.Err() != nil {
		return err
	}
	last := &j.state.Record.External
	last.Tried, last.Attempt = mark, last.Attempt.Failed(err, p.now(), j.state.ends())
	if rerr := p.save(j); rerr != nil {
		p.Log.Warn("failure not recorded", "cert", j.Name, "err", rerr)
	}
	return err
}

func (p *Pass) readFiles(j *job) (pair *keypair.Pair, mark string, err error) {
	defer p.recovered(&err, "cert", j.Name)
	return j.External.Read(p.now())
}

// keep stores what was read of the files of a bought certificate, unless it is
// stored already.
func (p *Pass) keep(j *job, pair *keypair.Pair, mark string) error {
	taken := Taken{Mark: mark, Fingerprint: pair.Fingerprint(), Again: j.state.Record.External.Again}
	newest, err := p.Store.Newest(j.Name)
	if err != nil && !none(err) {
		return err
	}
	if err == nil && newest.ID == j.state.Version && bytes.Equal(newest.Pair.FullChain(), pair.FullChain()) {
		return p.keepMark(j, taken)
	}
	if err := p.meant(j, pair); err != nil {
		return err
	}
	// The same certificate with other intermediates is known by the same
	// fingerprint. Where it is in use it must be deployed all the same, also if we
	// die before it is recorded that it was stored.
	again, err := p.undeploy(j, pair)
	if err == nil && again {
		err = p.save(j)
	}
	if err != nil {
		return err
	}
	if last := j.state.Record.External.Fingerprint; last != "" && last == j.state.Fingerprint {
		taken.Again = p.now().UTC().Truncate(time.Second)
	}
	p.step(j.Name, "storing them")
	if err := p.Store.Tidy(j.Name); err != nil {
		return err
	}
	v, err := p.Store.Add(j.Name, pair)
	if err != nil {
		return fmt.Errorf("storing: %w", err)
	}
	before := j.state.Leaf
	j.taken, j.state.Live = true, false
	j.state.Leaf, j.state.Version, j.state.Fingerprint = pair.Leaf, v.ID, taken.Fingerprint
	j.state.Record.took(taken)
	unrecorded := p.save(j)
	p.Log.Info("stored", "cert", j.Name, "version", v.ID, "from", j.External.Chain, "fingerprint", taken.Fingerprint[:16], "not_after", pair.Leaf.NotAfter.UTC())
	p.remark(j, before, pair)
	if unrecorded != nil {
		return fmt.Errorf("recording: %w", unrecorded)
	}
	return nil
}

// keepMark notes that the files hold what is stored.
func (p *Pass) keepMark(j *job, t Taken) error {
	if j.state.Record.External == t {
		return nil
	}
	j.state.Record.took(t)
	if err := p.save(j); err != nil {
		return fmt.Errorf("recording: %w", err)
	}
	return nil
}

// took notes that the newest version is from files. Who issued it is not known.
func (r *Record) took(t Taken) {
	r.External, r.Fingerprint, r.CA, r.Profile, r.IssuedAt, r.Orders, r.Advice = t, "", "", "", time.Time{}, nil, Advice{}
}

// undeploy forgets deployments of what has the leaf of pair and another chain.
func (p *Pass) undeploy(j *job, pair *keypair.Pair) (any bool, err error) {
	for name, d := range j.state.Record.Deployments {
		if d.Deployed != pair.Fingerprint() && d.Verified != pair.Fingerprint() {
			continue
		}
		v, err := p.Store.Find(j.Name, pair.Fingerprint())
		if err != nil && !none(err) {
			return any, err
		}
		if err == nil && bytes.Equal(v.Pair.FullChain(), pair.FullChain()) {
			continue
		}
		d.Deployed, d.Verified, any = "", "", true
		j.state.Record.deployment(name, d)
	}
	return any, nil
}

// wanted is what the newest version has to be for. A bought certificate says that
// itself.
func (a *arrival) wanted() []string {
	if a.External != nil {
		return a.newest.Pair.Names()
	}
	return a.Names
}
