package renew

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"keypaird/renew/keypair"
	"keypaird/renew/problem"
	"keypaird/renew/record"
)

// A Sharing is how several machines share the certificate of one target: one of them
// orders it and publishes it, the others take it. Its methods may be called concurrently
// with those of other targets.
type Sharing interface {
	// Take returns what the others have and is to replace what is stored here; nil:
	// nothing. Its serial number is higher than that in s.Record.Fleet. It is called when
	// the state has been read, before anything is decided. That the others cannot be
	// reached is no error: OrderHold says so.
	Take(ctx context.Context, s State) (*Taken, error)

	// OrderHold returns why this machine neither orders nor imports now, and so neither
	// asks for renewal information nor makes a next key; the zero value: it may. It holds
	// for every mode, and is asked once before a pass and once after it.
	OrderHold(now time.Time, s State, mode Mode) Limit

	// DeployHold returns why the newest certificate is not deployed here yet; the zero
	// value: it may be. A pass by the operator does not heed it, nor one with less than a
	// quarter of the lifetime left of what is in use.
	DeployHold(now time.Time, s State) Limit

	// Lacks reports whether the others have lost what is stored here, so that it is
	// published again. It is asked where OrderHold does not hold.
	Lacks(s State) bool

	// Publish gives the newest certificate to the others, with s.Record.Ordering, and
	// returns its serial number. It is called when that is stored and recorded, before the
	// order that led to it is forgotten, and after an error or a crash at the beginning of
	// the next pass where OrderHold does not hold.
	Publish(ctx context.Context, s State, p *keypair.Pair) (serial uint64, err error)

	// Reported is called after each pass with what is known then: what is verified, what
	// failed, and what the record now says of ordering. With err the state cannot be read.
	Reported(s State, err error)
}

// A Taken is a certificate that other machines have.
type Taken struct {
	Pair     *keypair.Pair
	Ordering Ordering // what they recorded of it
	Serial   uint64
}

// holdCheck is when to look again at what is held until nobody knows when.
const holdCheck = 10 * time.Minute

// lookAt is when to look again at what a limit keeps from being done.
func (l Limit) lookAt(now time.Time) time.Time {
	if l.Until.After(now) {
		return l.Until
	}
	return now.Add(holdCheck)
}

// LoadHolds sets what keeps this machine from ordering and from deploying, if others
// share the certificate.
func LoadHolds(now time.Time, t Target, s *State, mode Mode) {
	s.OrderHold, s.DeployHold = Limit{}, Limit{}
	if t.Sharing != nil {
		s.OrderHold, s.DeployHold = t.Sharing.OrderHold(now, *s, mode), t.Sharing.DeployHold(now, *s)
	}
}

// share exchanges certificates with other machines.
func (p *Pass) share(ctx context.Context, jobs []*job, errs *failures) {
	jobs = slices.DeleteFunc(slices.Clone(jobs), func(j *job) bool { return j.Sharing == nil || j.stateErr != nil })
	p.each(len(jobs), func(i int) {
		j := jobs[i]
		err := p.take(ctx, j)
		if err != nil && ctx.Err() == nil {
			errs.add(&TargetError{[]string{j.Name}, "taking its certificate from the fleet", err})
		}
		LoadHolds(p.now(), j.Target, &j.state, p.Mode)
		if err == nil {
			p.publishStored(ctx, j)
		}
	})
}

// take stores what other machines have in place of what is stored.
func (p *Pass) take(ctx context.Context, j *job) (err error) {
	defer p.recovered(&err, "cert", j.Name)
	t, err := j.Sharing.Take(ctx, j.state)
	if err != nil || t == nil {
		return err
	}
	if err := j.fits(t, p.now()); err != nil {
		return err
	}
	same, err := p.stored(j, t.Pair)
	if err == nil && !same {
		if err = p.Store.Tidy(j.Name); err == nil {
			err = p.undeploy(j, t.Pair)
		}
		if err == nil {
			_, err = p.Store.Add(j.Name, t.Pair)
		}
	}
	if err != nil {
		return fmt.Errorf("storing: %w", err)
	}
	rec, fingerprint := &j.state.Record, t.Pair.Fingerprint()
	if rec.Ordering = t.Ordering; rec.Fingerprint != fingerprint { // it is of another one already
		rec.Ordering = Ordering{TLSA: t.Ordering.TLSA}
	}
	if j.External() != nil {
		rec.External.Mark = j.state.Mark // the files of this machine are not newer
	}
	rec.Fleet = record.Fleet{Serial: t.Serial, Fingerprint: fingerprint}
	if err := p.saveAndLoad(j, "taking its certificate from the fleet"); err != nil {
		return err
	}
	p.Log.Info("taken", "cert", j.Name, "serial", t.Serial, "version", j.state.Version, "fingerprint", fingerprint[:16], "not_after", t.Pair.Leaf.NotAfter.UTC())
	return nil
}

// fits returns why what other machines have cannot replace what is stored, or nil. That
// the key is the leaf's, and the chain in order, is known of every pair.
func (j *job) fits(t *Taken, now time.Time) error {
	if have := j.state.Record.Fleet.Serial; t.Serial <= have {
		return fmt.Errorf("its serial number is %d, and that of what is stored %d", t.Serial, have)
	}
	names := keypair.Names(t.Pair.Leaf)
	if len(j.Names) > 0 && !slices.ContainsFunc(keypair.CanonicalNames(j.Names), func(name string) bool { return slices.Contains(names, name) }) {
		return problem.Newf("give all machines of the fleet the same configuration", "it is for %s, and for none of the names configured here: %s",
			keypair.Quoted(names), strings.Join(j.Names, " "))
	}
	return t.Pair.Check(t.Pair.Names(), now)
}

// publishStored publishes the stored certificate if others lack it: the pass that
// obtained it could not, or they have lost it.
func (p *Pass) publishStored(ctx context.Context, j *job) {
	s := j.state
	if s.Leaf == nil || !p.now().Before(s.Leaf.NotAfter) || s.OrderHold.Err != nil || s.Record.Fleet.Fingerprint == s.Fingerprint && !j.Sharing.Lacks(s) {
		return
	}
	newest, err := p.Store.Newest(j.Name)
	if err == nil && newest.ID == s.Version {
		p.publish(ctx, j, newest.Pair)
		p.forgetOrder(j, s.Leaf)
	}
}

// publish gives a certificate to other machines, if there are any. After a failure the
// next pass does.
func (p *Pass) publish(ctx context.Context, j *job, pair *keypair.Pair) {
	if j.Sharing == nil {
		return
	}
	var serial uint64
	var err error
	func() {
		defer p.recovered(&err, "cert", j.Name)
		serial, err = j.Sharing.Publish(ctx, j.state, pair)
	}()
	if err != nil {
		p.Log.Warn("not published", "cert", j.Name, "err", err, "remedy", Remedy(err))
		return
	}
	j.state.Record.Fleet = record.Fleet{Serial: max(serial, j.state.Record.Fleet.Serial), Fingerprint: j.state.Fingerprint}
	if err := p.save(j); err != nil {
		p.Log.Warn("record not saved", "cert", j.Name, "step", "publishing", "err", err)
	}
	p.Log.Info("published", "cert", j.Name, "serial", serial)
}
