package verify

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"keypaird/hooks/discover"
	"keypaird/hooks/probe"
)

// A check is one endpoint and what it should serve to one name. Several kinds
// of peers may want the same.
type check struct {
	domain   string
	endpoint probe.Endpoint
	addrs    []netip.Addr
	sni, to  string
	alpn     []string
	uses     []discover.Requirement // at least one
	guessed  bool                   // nothing says that there is such a service
	optional bool                   // nor that it is missed if nobody is there
}

// found follows the way of a domain's peers and looks where it ends.
func (v *Verifier) found(ctx context.Context, wish Domain) ([]Sight, error) {
	answer, err := v.Lookup.Discover(ctx, wish.Name, wish.Services, wish.Components)
	if err != nil {
		return nil, err
	}
	var rows []Sight
	var checks []*check
	for _, r := range answer.Requirements {
		switch {
		case wish.Names != nil && !slices.ContainsFunc(r.Accept, func(n string) bool { return slices.Contains(wish.Names, n) }):
		case len(r.Addrs) > 0:
			checks = mergeCheck(checks, r, wish)
		default:
			rows = append(rows, withoutAddress(r, wish))
		}
	}
	within, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	looked := make([][]Sight, len(checks))
	var wg sync.WaitGroup
	for i, c := range checks {
		wg.Go(func() { looked[i] = v.check(within, c) })
	}
	wg.Wait()
	rows = append(slices.Concat(looked...), rows...)
	if wish.Names == nil {
		for _, p := range answer.Problems {
			said := slices.ContainsFunc(rows, func(r Sight) bool { return r.Result == Unknown && strings.Contains(r.Error, p.Text) })
			if p.Error || !said {
				rows = append(rows, problemRow(p, wish.Name))
			}
		}
	}
	return rows, nil
}

// mergeCheck adds a row of discovery to the check that asks the same, if there is
// one.
func mergeCheck(checks []*check, r discover.Requirement, wish Domain) []*check {
	for _, c := range checks {
		first := c.uses[0]
		if c.endpoint == r.Target() && c.sni == r.SNI && slices.Equal(first.Accept, r.Accept) && slices.Equal(c.addrs, r.Addrs) &&
			slices.Equal(c.alpn, r.ALPN) && first.NoWildcard == r.NoWildcard && len(first.TLSA) == 0 && len(r.TLSA) == 0 && first.Identity == r.Identity {
			c.uses = append(c.uses, r)
			c.guessed, c.optional = c.guessed && guessed(r, wish), c.optional && optional(r, wish)
			return checks
		}
	}
	return append(checks, &check{
		domain: wish.Name, endpoint: r.Target(), addrs: r.Addrs, sni: r.SNI, to: r.SNI, alpn: r.ALPN,
		uses: []discover.Requirement{r}, guessed: guessed(r, wish), optional: optional(r, wish),
	})
}

// guessed tells whether peers try an endpoint although nothing says that the
// service exists.
func guessed(r discover.Requirement, wish Domain) bool {
	return unused(r) || r.Default && !wish.Configured
}

// optional tells whether a domain does well without: not every address has a
// web server.
func optional(r discover.Requirement, wish Domain) bool {
	return guessed(r, wish) || r.Service == "web" && !wish.Configured
}

// unused tells whether a row is about a document that is not there: peers ask
// for it and go on without it.
func unused(r discover.Requirement) bool {
	return r.Enforcement == discover.Info && r.State == discover.Absent
}

// withoutAddress is the row of what has no address to look at.
func withoutAddress(r discover.Requirement, wish Domain) Sight {
	s := Sight{Domain: wish.Name, Uses: []Use{useOf(r)}, Endpoint: r.Endpoint.String(), Name: r.SNI, Accept: r.Accept, Error: r.Why}
	named := r.Endpoint.Host != "" && !r.Default
	switch {
	case r.State == discover.Undetermined:
		s.settle(Unknown)
		s.Remedy = "ask again, or ask another resolver: -resolver ADDRESS"
	case named && r.Enforcement == discover.Must:
		s.settle(Wrong)
		s.Remedy, s.Breaks = "publish its address, or correct the record that names it", []string{sentenceOf(r, wish.Name)}
	case named && r.Enforcement == discover.Should:
		s.settle(Warned)
		s.Remedy, s.Breaks = "publish its address, or correct the record that names it", []string{sentenceOf(r, wish.Name)}
	default:
		s.settle(Nothing)
	}
	return s
}

// problemRow is the row of what is wrong with records and documents.
func problemRow(p discover.Problem, domain string) Sight {
	s := Sight{Domain: domain, Uses: []Use{{Service: p.Service, Role: "records"}}, Error: p.Text, Remedy: p.Remedy}
	s.settle(Warned)
	if p.Error {
		s.settle(Wrong)
	}
	return s
}

func useOf(r discover.Requirement) Use {
	return Use{
		Service: r.Service, Role: r.Role, Identity: r.Identity, Step: r.Step, When: r.When,
		CheckedBy: r.CheckedBy, Enforcement: string(r.Enforcement),
	}
}

// check looks at every address.
func (v *Verifier) check(ctx context.Context, c *check) []Sight {
	rows := make([]Sight, len(c.addrs))
	var wg sync.WaitGroup
	for i, addr := range c.addrs {
		rows[i] = Sight{
			Domain: c.domain, Endpoint: c.endpoint.String(), Address: addr.String(), Name: c.sni, Accept: c.uses[0].Accept,
		}
		for _, r := range c.uses {
			if !unused(r) || !slices.ContainsFunc(c.uses, func(r discover.Requirement) bool { return !unused(r) }) {
				rows[i].Uses = append(rows[i].Uses, useOf(r))
			}
		}
		wg.Go(func() { v.checkAt(ctx, c, &rows[i], addr) })
	}
	wg.Wait()
	return rows
}

// expect is what the peers of a check want of a certificate.
func (v *Verifier) expect(c *check, o *Ownership) probe.Expect {
	r := c.uses[0]
	e := probe.Expect{
		Now: v.now, Names: r.Accept, NoWildcard: r.NoWildcard, Roots: v.Roots, Known: o.intermediates(),
		Client: r.Role == "s2s" || strings.HasPrefix(r.Role, "s2s "),
	}
	for _, t := range r.TLSA {
		if data, err := hex.DecodeString(t.Data); err == nil {
			e.TLSA = append(e.TLSA, probe.TLSA{Usage: t.Usage, Selector: t.Selector, Matching: t.Matching, Data: data, Names: t.Accept})
		}
	}
	return e
}

// checkAt looks at one address and says what that amounts to.
func (v *Verifier) checkAt(ctx context.Context, c *check, row *Sight, addr netip.Addr) {
	look := probe.Look{Endpoint: c.endpoint, Addr: addr, SNI: c.sni, To: c.to, ALPN: c.alpn}
	s, err := v.prober.see(ctx, look)
	if err != nil {
		c.unseen(row, err)
		return
	}
	v.show(row, s)
	if row.Pair != nil && row.Pair.Whose == previous { // perhaps by an old worker
		patiently(ctx, func() bool {
			if now, err := v.prober.again(ctx, look); err == nil {
				s = now
				v.show(row, s)
			}
			return row.Pair.Whose != previous
		})
	}
	row.settle(Well)
	leaf := s.Chain[0]
	expect := v.expect(c, row.Pair)
	for _, f := range probe.Judge(s, expect) {
		c.note(row, f, c.grade(f.Fault), leaf)
	}
	v.ownership(c, row, leaf)
	if c.sni != "" {
		v.withoutSNI(ctx, c, row, look, s, expect)
	}
	c.conclude(row, v, leaf)
}

// ownership notes a pair of ours that should have been replaced there.
func (v *Verifier) ownership(c *check, row *Sight, leaf *x509.Certificate) {
	if row.Pair == nil {
		return
	}
	switch row.Pair.Whose {
	case previous:
		c.note(row, probe.Finding{Fault: staleFault, Text: "is not the live pair: the server there has not loaded what was deployed last"}, Wrong, leaf)
	case newer:
		c.note(row, probe.Finding{Fault: staleFault, Text: "is not the live pair: " + fmt.Sprintf("%s of %s was not made live, or was taken back", row.Pair.Version, row.Pair.Target)}, Warned, leaf)
	}
}
