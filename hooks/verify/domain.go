package verify

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"keypaird/hooks/discover"
	"keypaird/hooks/probe"
	"keypaird/hooks/verify/input"
	"keypaird/renew/netaddr"
	"keypaird/renew/tlsa"
)

// An endpoint is an endpoint of a domain with the name that it is asked for. Several
// kinds of peers may ask for the same.
type endpoint struct {
	domain   string
	endpoint probe.Endpoint
	addrs    []netip.Addr
	sni, to  string
	alpn     []string
	uses     []discover.Requirement // at least one
	limit    netaddr.Scope          // how private the addresses may be
	guessed  bool                   // no record names the service
	optional bool                   // it is not missed where nothing listens
}

// checkDomain finds the endpoints of a domain as its peers do, and checks each.
func (v *Verifier) checkDomain(ctx context.Context, d input.Domain) ([]Check, error) {
	answer, err := v.Lookup.Discover(ctx, d.Name, d.Services, d.Components)
	if err != nil {
		return nil, err
	}
	var rows []Check
	var checks []*endpoint
	for _, r := range answer.Requirements {
		switch {
		case d.Names != nil && !slices.ContainsFunc(r.Accept, func(n string) bool { return slices.Contains(d.Names, n) }):
		case len(r.Addrs) > 0:
			checks = mergeEndpoint(checks, r, d)
		default:
			rows = append(rows, withoutAddress(r, d))
		}
	}
	if d.Optional && len(checks) == 0 {
		return nil, nil
	}
	within, cancel := context.WithTimeout(ctx, domainLimit)
	defer cancel()
	checked := make([][]Check, len(checks))
	var wg sync.WaitGroup
	for i, c := range checks {
		c.limit = netaddr.Loopback
		if !d.Configured {
			c.limit = answer.Limit(c.endpoint.Host)
		}
		wg.Go(func() { checked[i] = v.check(within, c) })
	}
	wg.Wait()
	rows = append(slices.Concat(checked...), rows...)
	if d.Names == nil {
		rows = append(rows, problemRows(answer.Problems, d.Name)...)
	}
	return rows, nil
}

// mergeEndpoint adds a row of discovery to the endpoint that is asked the same, or a
// new endpoint.
func mergeEndpoint(checks []*endpoint, r discover.Requirement, d input.Domain) []*endpoint {
	for _, c := range checks {
		first := c.uses[0]
		if c.endpoint == r.Target() && c.sni == r.SNI && slices.Equal(first.Accept, r.Accept) && slices.Equal(c.addrs, r.Addrs) &&
			slices.Equal(c.alpn, r.ALPN) && first.NoWildcard == r.NoWildcard && first.ClientAuth == r.ClientAuth && len(first.TLSA) == 0 && len(r.TLSA) == 0 && first.Identity == r.Identity {
			c.uses = append(c.uses, r)
			c.guessed, c.optional = c.guessed && guessed(r, d), c.optional && optional(r, d)
			return checks
		}
	}
	return append(checks, &endpoint{
		domain: d.Name, endpoint: r.Target(), addrs: r.Addrs, sni: r.SNI, to: r.SNI, alpn: r.ALPN,
		uses: []discover.Requirement{r}, guessed: guessed(r, d), optional: optional(r, d),
	})
}

// guessed reports whether peers try an endpoint although no record names the
// service.
func guessed(r discover.Requirement, d input.Domain) bool {
	return unused(r) || r.Default && !d.Configured
}

// optional reports whether an endpoint is not missed: not every address has a web
// server.
func optional(r discover.Requirement, d input.Domain) bool {
	return guessed(r, d) || r.Service == "web" && !d.Configured
}

// unused reports whether a row is about a document that does not exist: peers ask
// for it and continue without it.
func unused(r discover.Requirement) bool {
	return r.Enforcement == discover.Info && r.State == discover.Absent
}

// withoutAddress returns the row of an endpoint without an address.
func withoutAddress(r discover.Requirement, d input.Domain) Check {
	s := Check{Domain: d.Name, Peers: []Peer{peerOf(r)}, Endpoint: r.Endpoint.String(), Name: r.SNI, Accept: r.Accept, Error: r.Why}
	named := r.Endpoint.Host != "" && !r.Default
	switch {
	case r.State == discover.Undetermined:
		s.setResult(Unknown)
		s.Remedy = "ask again, or ask another resolver: -resolver ADDRESS"
	case named && r.Enforcement == discover.Must:
		s.setResult(Failed)
		s.Remedy, s.Affects = "publish its address, or correct the record that names it", []string{effectOf(r, d.Name)}
	case named && r.Enforcement == discover.Should:
		s.setResult(Warning)
		s.Remedy, s.Affects = "publish its address, or correct the record that names it", []string{effectOf(r, d.Name)}
	default:
		s.setResult(Absent)
	}
	return s
}

// problemRows returns the rows of problems of records and documents, without the
// warnings that another row has.
func problemRows(problems []discover.Problem, domain string) (rows []Check) {
	for _, p := range problems {
		if p.InRow && !p.Error {
			continue
		}
		s := Check{Domain: domain, Peers: []Peer{{Service: p.Service, Role: "records"}}, Error: p.Text, Remedy: p.Remedy}
		s.setResult(Warning)
		if p.Error {
			s.setResult(Failed)
		}
		rows = append(rows, s)
	}
	return rows
}

func peerOf(r discover.Requirement) Peer {
	return Peer{
		Service: r.Service, Role: r.Role, Identity: r.Identity, Step: r.Step, When: r.When,
		CheckedBy: r.CheckedBy, Enforcement: string(r.Enforcement),
	}
}

// check probes every address of an endpoint.
func (v *Verifier) check(ctx context.Context, c *endpoint) []Check {
	rows := make([]Check, len(c.addrs))
	var wg sync.WaitGroup
	for i, addr := range c.addrs {
		rows[i] = Check{
			Domain: c.domain, Endpoint: c.endpoint.String(), Address: addr.String(), Name: c.sni, Accept: c.uses[0].Accept,
		}
		for _, r := range c.uses {
			if !unused(r) || !slices.ContainsFunc(c.uses, func(r discover.Requirement) bool { return !unused(r) }) {
				rows[i].Peers = append(rows[i].Peers, peerOf(r))
			}
		}
		wg.Go(func() { v.checkAt(ctx, c, &rows[i], addr) })
	}
	wg.Wait()
	return rows
}

// expect returns what the peers of an endpoint require of a certificate.
func (v *Verifier) expect(c *endpoint, o *Match) probe.Expect {
	r := c.uses[0]
	e := probe.Expect{
		Now: v.now, Names: r.Accept, NoWildcard: r.NoWildcard, Roots: v.Roots, Known: o.intermediates(),
		Client: r.ClientAuth,
	}
	for _, t := range r.TLSA {
		e.TLSA = append(e.TLSA, probe.TLSA{RR: tlsa.Parse(t.String()), Names: t.Accept})
	}
	return e
}

// checkAt probes one address and sets the result of its row.
func (v *Verifier) checkAt(ctx context.Context, c *endpoint, row *Check, addr netip.Addr) {
	if err := c.limit.Check(addr); err != nil {
		row.setResult(Unknown)
		row.Error, row.Remedy = err.Error(), "if that address is the right one here, confirm it: -resolve "+c.endpoint.Host+"="+addr.String()
		return
	}
	p := probe.Probe{Endpoint: c.endpoint, Addr: addr, SNI: c.sni, To: c.to, ALPN: c.alpn}
	s, err := v.prober.probe(ctx, p)
	var failed *probe.Error
	if errors.As(err, &failed) && v.refusesAll(ctx, p, err) {
		failed.Err = fmt.Errorf("%w: %w", probe.ErrUnsupported, failed.Err)
	}
	if err != nil {
		c.probeFailed(row, err)
		return
	}
	v.setServed(row, s)
	if row.Pair != nil && row.Pair.Source == previous { // perhaps by an old worker
		retry(ctx, func() bool {
			if now, err := v.prober.again(ctx, p); err == nil {
				s = now
				v.setServed(row, s)
			}
			return row.Pair.Source != previous
		})
	}
	row.setResult(OK)
	leaf := s.Chain[0]
	expect := v.expect(c, row.Pair)
	for _, f := range probe.Check(s, expect) {
		c.addIssue(row, f, c.resultOf(f.Fault), leaf)
	}
	v.checkLive(c, row, leaf)
	v.checkOtherKey(ctx, c, row, p, s)
	if c.sni != "" {
		v.withoutSNI(ctx, c, row, p, s, expect)
	}
	c.summarize(row, v, leaf)
}

// checkOtherKey adds the issues of the certificate that the server has for clients that
// accept no key of the type served first.
func (v *Verifier) checkOtherKey(ctx context.Context, c *endpoint, row *Check, p probe.Probe, s probe.Result) {
	if c.severity() == OK {
		return // no peer checks it
	}
	other, err := v.prober.otherKey(ctx, p, s)
	if err != nil {
		return
	}
	leaf := other.Chain[0]
	match := v.matcher.match(leaf)
	list := probe.Check(other, v.expect(c, match))
	if match != nil && match.Source == previous {
		list = append(list, probe.Issue{Fault: staleFault, Text: "is not the live pair"})
	}
	for _, f := range list {
		same := func(i Issue) bool { return i.Fault == f.Fault && i.Text == f.Text }
		if slices.ContainsFunc(row.Issues, same) {
			continue
		}
		result := Failed
		if f.Fault != staleFault {
			result = c.resultOf(f.Fault)
		}
		f.Text = fmt.Sprintf("is not the only one: the one with a key for %s %s", leaf.PublicKeyAlgorithm, f.Text)
		c.addIssue(row, f, result, leaf)
	}
}

// checkLive adds an issue where a stored pair is served that is not the live one.
func (v *Verifier) checkLive(c *endpoint, row *Check, leaf *x509.Certificate) {
	if row.Pair == nil {
		return
	}
	switch row.Pair.Source {
	case previous:
		c.addIssue(row, probe.Issue{Fault: staleFault, Text: "is not the live pair: the server there has not loaded what was deployed last"}, Failed, leaf)
	case newer:
		c.addIssue(row, probe.Issue{Fault: staleFault, Text: fmt.Sprintf("is not the live pair: %s of %s was not made live, or was rolled back", row.Pair.Version, row.Pair.Target)}, Warning, leaf)
	}
}
