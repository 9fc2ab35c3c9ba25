package dns01

import (
	"context"
	"fmt"
	"strings"
	"time"

	"keypaird/acme"
	"keypaird/renew/problem"

	"github.com/miekg/dns"
)

// An attempt solves one challenge.
type attempt struct {
	account *Account
	child   *child
	ask     request
	fqdn    string // of the record: the challenge name, or after locate where its CNAMEs lead
	want    string // value of the TXT record
	unlock  func() // lets the next challenge at this name proceed; may be called more than once
	done    chan struct{}

	removed func() // see Account.Note; may be nil
	gone    bool   // the record is removed; set before done is closed
}

// A Presented is a TXT record of a challenge, and what a provider needs to remove it.
type Presented struct {
	Account, FQDN, Value   string
	Domain, Token, KeyAuth string
}

// note calls Account.Note for the record of an order; check -live has none.
func (t *attempt) note(ctx context.Context, c acme.Challenge) (err error) {
	if t.account.Note == nil || c.Order == "" {
		return nil
	}
	t.removed, err = t.account.Note(ctx, Presented{t.account.Name, t.fqdn, t.want, t.ask.Domain, t.ask.Token, t.ask.KeyAuth})
	return err
}

// Remove removes a record that another machine has presented.
func (a *Account) Remove(ctx context.Context, r Presented) error {
	k, err := a.join()
	if err != nil {
		return err
	}
	defer a.leave(k)
	t := &attempt{account: a, child: k, fqdn: r.FQDN, want: r.Value, ask: request{Domain: r.Domain, Token: r.Token, KeyAuth: r.KeyAuth}}
	if _, err := t.locate(ctx); err != nil {
		return err
	}
	if t.fqdn != r.FQDN {
		return a.failed("removing", r.FQDN, fmt.Errorf("its CNAME leads to %s now", t.fqdn))
	}
	unlock, err := presents.lock(ctx, k.stuck, t.fqdn, t.want, nil, nil)
	if err != nil {
		return a.failed("removing", r.FQDN, err)
	}
	defer unlock()
	t.ask.Op = "cleanup"
	_, err = t.wait(ctx, "removing", k.post(t.ask, cleanLimit, nil))
	return err
}

// locate follows CNAMEs and reports whether the provider can have several values at
// one name.
func (t *attempt) locate(ctx context.Context) (several bool, err error) {
	if _, err := t.wait(ctx, "opening", t.child.opened); err != nil {
		return false, err
	}
	r := t.ask
	r.Op = "locate"
	where, err := t.wait(ctx, "locating", t.child.post(r, openLimit, nil))
	if err != nil {
		return false, err
	}
	if where.Value != t.want || where.FQDN == "" {
		return false, t.account.failed("locating", t.fqdn, problem.New("keypaird-dns computed a different TXT value", "install keypaird and keypaird-dns of the same version"))
	}
	t.fqdn = dns.CanonicalName(where.FQDN)
	return where.KeepsSeveral, nil
}

// present publishes the record. Unless the provider refused, the record may exist
// after an error, so it is withdrawn.
func (t *attempt) present(ctx context.Context) error {
	r := t.ask
	r.Op = "present"
	call := t.child.post(r, t.account.presentLimit(), nil)
	a, err := t.wait(ctx, "presenting", call)
	switch {
	case err == nil && dns.CanonicalName(a.FQDN) == t.fqdn:
		t.account.log().Info("presented", "fqdn", t.fqdn)
		return nil
	case err == nil:
		err = t.account.failed("presenting", t.fqdn, problem.Newf("once the CNAME stays as it is: keypaird issue", "its CNAME changed to %s meanwhile", t.child.stderr.clean(a.FQDN)))
		t.withdraw(ctx)
	case call.refused():
		t.gone = true // the provider refused, and the child has cleaned up
		t.unlock()
		t.forget()
	default:
		t.withdraw(ctx)
	}
	return err
}

// wait waits until a request is done.
func (t *attempt) wait(ctx context.Context, doing string, call *call) (answer, error) {
	select {
	case <-call.done:
		if call.err != nil {
			return answer{}, t.account.failed(doing, t.fqdn, call.err)
		}
		return call.answer, nil
	case <-t.child.stuck:
		return answer{}, t.account.failed(doing, t.fqdn, t.child.timeoutError())
	case <-ctx.Done():
		return answer{}, fmt.Errorf("%s: %w", strings.TrimSpace(doing+" "+t.fqdn), context.Cause(ctx))
	}
}

// awaitRecord waits until the record is visible at the servers that the CA asks, and
// returns what they had at its name meanwhile.
func (t *attempt) awaitRecord(ctx context.Context) (*found, error) {
	a := t.account
	c := Checker{Resolvers: a.Resolvers, System: a.System, Port: a.Port, Log: a.log()}
	begun, f := time.Now(), &found{}
	if err := c.awaitValue(ctx, t.fqdn, t.want, a.propagation(), f); err != nil {
		return nil, err
	}
	a.log().Debug("propagated", "fqdn", t.fqdn, "after", time.Since(begun).Round(time.Millisecond))
	return f, nil
}

// withdraw requests removal of the record and waits for it until ctx ends or the
// provider hangs; the child then continues on its own.
func (t *attempt) withdraw(ctx context.Context) {
	t.clean(t.child, true)
	limit := time.NewTimer(cleanLimit)
	defer limit.Stop()
	select {
	case <-t.done:
		t.forget()
	case <-t.child.stuck:
	case <-ctx.Done():
	case <-limit.C:
	}
}

// forget is called when the attempt has ended, and drops the note of a record that is gone.
func (t *attempt) forget() {
	if t.gone && t.removed != nil {
		t.removed()
	}
}

// clean requests removal of the record from a child. With retry a second child is
// started if this one exits with an error before that.
func (t *attempt) clean(k *child, retry bool) {
	r := t.ask
	r.Op = "cleanup"
	log := t.account.log().With("fqdn", t.fqdn)
	k.post(r, cleanLimit, func(c *call) {
		switch {
		case c.err == nil:
			log.Debug("withdrawn")
			t.gone = true
			t.unlock()
		case c.refused():
			log.Warn("clean-up failed, retried when DNS helper exits", "err", c.err)
			t.unlock()
		case k.err == nil:
			t.gone = true
			t.unlock() // it exited without error: no record is left
		case retry && !k.isAbandoned():
			t.cleanAgain()
		default:
			t.warnLeft(c.err)
		}
	})
}

// cleanAgain removes the record with another child.
func (t *attempt) cleanAgain() {
	k, err := t.account.join()
	if err != nil {
		t.warnLeft(err)
		return
	}
	defer t.account.leave(k)
	t.clean(k, false)
}

// warnLeft logs that the record may still exist.
func (t *attempt) warnLeft(err error) {
	t.account.log().Warn("TXT record may be left", "fqdn", t.fqdn, "value", t.want, "err", err,
		"remedy", "remove the record at the provider if it exists")
	t.unlock()
}
