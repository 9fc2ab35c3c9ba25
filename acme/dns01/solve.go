package dns01

import (
	"context"
	"fmt"
	"time"

	"github.com/miekg/dns"
)

// A proof is one challenge on its way.
type proof struct {
	account *Account
	child   *child
	ask     request
	fqdn    string // the challenge name; once located, where its CNAMEs lead
	want    string // value of the TXT record
	unlock  func() // lets the next challenge at this name present; may be called again
	done    chan struct{}
}

// locate follows CNAMEs and says whether the provider keeps several values.
func (p *proof) locate(ctx context.Context) (several bool, err error) {
	if _, err := p.wait(ctx, "opening", p.child.opened); err != nil {
		return false, err
	}
	r := p.ask
	r.Op = "locate"
	where, err := p.wait(ctx, "locating", p.child.post(r, openLimit, nil))
	if err != nil {
		return false, err
	}
	if where.Value != p.want || where.FQDN == "" {
		return false, p.account.failed("locating", p.fqdn, fmt.Errorf("keypaird-dns computed another answer: is it of another version?"))
	}
	p.fqdn = dns.CanonicalName(where.FQDN)
	return where.KeepsSeveral, nil
}

// present publishes. If it does not come to an answer the record may exist.
func (p *proof) present(ctx context.Context) error {
	r := p.ask
	r.Op = "present"
	call := p.child.post(r, p.account.presentLimit(), nil)
	a, err := p.wait(ctx, "presenting", call)
	switch {
	case err == nil && dns.CanonicalName(a.FQDN) == p.fqdn:
		p.account.log().Info("presented", "fqdn", p.fqdn)
		return nil
	case err == nil:
		err = p.account.failed("presenting", p.fqdn, fmt.Errorf("its CNAME changed to %s in between", p.child.words.clean(a.FQDN)))
		p.withdraw(ctx)
	case call.refused():
		p.unlock() // the provider said no, and the child has cleaned up
	default:
		p.withdraw(ctx)
	}
	return err
}

// wait waits for the answer to a request.
func (p *proof) wait(ctx context.Context, doing string, call *call) (answer, error) {
	select {
	case <-call.done:
		if call.err != nil {
			return answer{}, p.account.failed(doing, p.fqdn, call.err)
		}
		return call.answer, nil
	case <-p.child.stuck:
		return answer{}, p.account.failed(doing, p.fqdn, p.child.hangs())
	case <-ctx.Done():
		return answer{}, fmt.Errorf("%s %s: %w", doing, p.fqdn, context.Cause(ctx))
	}
}

// show waits for the record to be seen where the CA will look.
func (p *proof) show(ctx context.Context) error {
	a := p.account
	c := Checker{Resolvers: a.Resolvers, System: a.System, Port: a.Port, Log: a.log()}
	begun := time.Now()
	if err := c.Await(ctx, p.fqdn, p.want, a.propagation()); err != nil {
		return err
	}
	a.log().Debug("propagated", "fqdn", p.fqdn, "after", time.Since(begun).Round(time.Millisecond))
	return nil
}

// withdraw has the record removed and waits for that, but not beyond the end
// of ctx and not for a provider that hangs: then the child does it on its own.
func (p *proof) withdraw(ctx context.Context) {
	p.clean(p.child, true)
	limit := time.NewTimer(cleanLimit)
	defer limit.Stop()
	select {
	case <-p.done:
	case <-p.child.stuck:
	case <-ctx.Done():
	case <-limit.C:
	}
}

// clean asks a child to remove the record. If that child dies without having
// done it, another one tries.
func (p *proof) clean(k *child, again bool) {
	r := p.ask
	r.Op = "cleanup"
	log := p.account.log().With("fqdn", p.fqdn)
	k.post(r, cleanLimit, func(c *call) {
		switch {
		case c.err == nil:
			log.Debug("withdrawn")
			p.unlock()
		case c.refused():
			log.Warn("clean-up failed, to be tried again as the child ends", "error", c.err)
			p.unlock()
		case k.err == nil:
			p.unlock() // it ended in good order: nothing is left
		case again && !k.last():
			p.sweep()
		default:
			p.lost(c.err)
		}
	})
}

// sweep has another child remove the record.
func (p *proof) sweep() {
	k, err := p.account.join()
	if err != nil {
		p.lost(err)
		return
	}
	defer p.account.leave(k)
	p.clean(k, false)
}

func (p *proof) lost(err error) {
	p.account.log().Warn("a TXT record may be left", "fqdn", p.fqdn, "value", p.want, "error", err,
		"remedy", "remove it at the provider if it is there")
	p.unlock()
}
