package expect

import (
	"crypto/x509"
	"errors"
	"net/netip"
	"slices"
	"time"

	"keypaird/hooks/probe"
	"keypaird/renew/keypair"
)

// A Target is one target as its endpoints are to serve it.
type Target struct {
	Name        string
	New         *keypair.Pair
	Earlier     []*keypair.Pair // of the target; nil ones are passed over
	WasVerified bool            // the previous pair was
}

// A Query is one endpoint and one name of a target to request from it.
type Query struct {
	*Target
	Endpoint    probe.Endpoint
	Addr        netip.Addr // of its host, if it has several; zero: any
	ServerName  string
	Want        *keypair.Pair // in place now
	WasServed   bool          // when it was last probed: it is not taken for a name that is not served there
	Unreachable bool          // from here: what is served is not known
	Before      Reply         // before the first change
	Now         Reply         // the latest

	good  int // replies with the wanted pair in a row
	tries int // replies without it that count
}

// A Reply is the certificate that an endpoint served, or the error.
type Reply struct {
	leaf *x509.Certificate
	err  error
}

// Is reports whether the endpoint served the pair p.
func (a Reply) Is(p *keypair.Pair) bool { return a.leaf != nil && p != nil && a.leaf.Equal(p.Leaf) }

// Fits reports whether the served certificate is for the name and valid at now.
func (a Reply) Fits(name string, now time.Time) bool {
	return a.current(now) && probe.IsFor(a.leaf, name, false)
}

// current reports whether the served certificate is valid at now.
func (a Reply) current(now time.Time) bool {
	return a.leaf != nil && !now.Before(a.leaf.NotBefore) && !now.After(a.leaf.NotAfter)
}

// disowns reports whether the endpoint is up but does not know the name: an XMPP
// server says so, others serve a certificate for other names.
func (a Reply) disowns(name string, now time.Time) bool {
	return errors.Is(a.err, probe.ErrHostUnknown) || a.current(now) && !probe.IsFor(a.leaf, name, false)
}

// A Verdict is the result of a query.
type Verdict int

const (
	Served    Verdict = iota // the endpoint serves the new pair
	NotServed                // it serves no pair of the target for this name, and did not before
	Failing                  // it does not serve the new pair, but an earlier one before or now, though not well
	Worse                    // it does not serve the new pair, and served a good one before
	Unknown                  // it cannot be reached from here, or was not asked often enough
)

// Evaluate compares the latest reply with the one before the deployment.
func (q *Query) Evaluate(now time.Time) Verdict {
	wasOurs := q.ours(q.Before)
	switch {
	case q.Unreachable:
		return Unknown
	case q.Now.Is(q.New):
		return Served
	case q.Before.Fits(q.ServerName, now) && (wasOurs || !q.Now.Fits(q.ServerName, now)):
		return Worse
	case q.WasServed:
		return Failing
	case q.foreign(q.Before) && q.foreign(q.Now):
		return NotServed
	case errors.Is(q.Now.err, probe.ErrHostUnknown): // certain, regardless of the reply before
		return NotServed
	}
	return Failing
}

// ours reports whether a is an earlier pair of the target.
func (q *Query) ours(a Reply) bool { return slices.ContainsFunc(q.Earlier, a.Is) }

// foreign reports whether the endpoint is down, does not know the name, or serves
// another target's certificate. One for the same names as the new is not another
// target's.
func (q *Query) foreign(a Reply) bool {
	return a.leaf == nil || !a.Is(q.New) && !q.ours(a) && !sameNames(a.leaf, q.New.Leaf)
}

// sameNames reports whether two certificates are for the same names.
func sameNames(a, b *x509.Certificate) bool {
	set := func(c *x509.Certificate) []string {
		list := slices.Clone(c.DNSNames)
		for _, ip := range c.IPAddresses {
			list = append(list, ip.String())
		}
		slices.Sort(list)
		return slices.Compact(list)
	}
	return slices.Equal(set(a), set(b))
}

// up reports whether the server replied, even if only that it does not know the name:
// some refuse the handshake then.
func (a Reply) up() bool {
	failed, ok := errors.AsType[*probe.Error](a.err)
	return a.leaf != nil || errors.Is(a.err, probe.ErrHostUnknown) || ok && failed.Stage == probe.Handshaking && !failed.TimedOut
}

// Failure returns the error for an endpoint that does not serve the wanted pair.
func (q *Query) Failure() error {
	if q.Now.err != nil {
		return q.Now.err
	}
	return &probe.StaleError{
		Endpoint: q.Endpoint, Addr: q.Addr, ServerName: q.ServerName, NotAfter: q.Now.leaf.NotAfter,
		Got: probe.Fingerprint(q.Now.leaf), Want: probe.Fingerprint(q.Want.Leaf),
	}
}
