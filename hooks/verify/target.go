package verify

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"keypaird/hooks/probe"
	"keypaird/hooks/verify/input"
	"keypaird/renew/keypair"
	"keypaird/renew/problem"
)

// checkTarget probes the endpoints of a target's deployments: every address must
// serve the live pair for every name.
func (v *Verifier) checkTarget(ctx context.Context, t input.Target) []Check {
	leaf, err := x509.ParseCertificate(t.Leaf)
	if err != nil {
		return []Check{{Target: t.Name, Result: Failed, Error: cmp.Or(t.Fault, err.Error()), Remedy: "keypaird issue"}}
	}
	var list []deployedProbe
	for _, d := range t.Deployments {
		for _, e := range d.Endpoints {
			addrs := v.addressesOf(ctx, e.Host)
			for _, name := range e.Names {
				list = append(list, deployedProbe{Check{Target: t.Name, Deployment: d.Name, Endpoint: e.String(), Name: name}, e.Endpoint, addrs})
			}
		}
	}
	rows := make([][]Check, len(list))
	var wg sync.WaitGroup
	for i, l := range list {
		wg.Go(func() { rows[i] = v.deployedRows(ctx, l, leaf) })
	}
	wg.Wait()
	return slices.Concat(rows...)
}

// A deployedProbe is an endpoint of a deployment and a name.
type deployedProbe struct {
	row      Check
	endpoint probe.Endpoint
	addrs    []netip.Addr // none: the probe finds them
}

// addressesOf returns the addresses of a host; none if it is an address.
func (v *Verifier) addressesOf(ctx context.Context, host string) []netip.Addr {
	if given, ok := v.Lookup.Resolve[host]; ok {
		return given
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil // the probe says why
	}
	for i, a := range addrs {
		addrs[i] = a.Unmap()
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	return slices.Compact(addrs)
}

// deployedRows probes all addresses. Where some serve the live pair, one where
// nothing listens is only a warning.
func (v *Verifier) deployedRows(ctx context.Context, l deployedProbe, want *x509.Certificate) []Check {
	if len(l.addrs) < 2 {
		var addr netip.Addr
		if len(l.addrs) == 1 {
			addr = l.addrs[0]
		}
		row := l.row
		v.deployedRow(ctx, &row, probe.Probe{Endpoint: l.endpoint, Addr: addr, SNI: row.Name, KeyType: want.PublicKeyAlgorithm}, want)
		return []Check{row}
	}
	rows := make([]Check, len(l.addrs))
	unreachable, reached := make([]bool, len(rows)), false
	var wg sync.WaitGroup
	for i, addr := range l.addrs {
		rows[i] = l.row
		rows[i].Address = addr.String()
		wg.Go(func() {
			unreachable[i] = v.deployedRow(ctx, &rows[i], probe.Probe{Endpoint: l.endpoint, Addr: addr, SNI: l.row.Name, KeyType: want.PublicKeyAlgorithm}, want)
		})
	}
	wg.Wait()
	for i := range rows {
		reached = reached || !unreachable[i]
	}
	for i := range rows {
		if reached && unreachable[i] {
			rows[i].setResult(Warning)
		}
	}
	return rows
}

// deployedRow probes one address and sets the result of its row. It reports whether
// nothing listens there.
func (v *Verifier) deployedRow(ctx context.Context, row *Check, p probe.Probe, want *x509.Certificate) (unreachable bool) {
	var s probe.Result
	var err error
	retry(ctx, func() bool {
		s, err = v.prober.again(ctx, p)
		return err != nil || s.Chain[0].Equal(want)
	})
	if err != nil {
		row.setResult(Failed)
		row.Error, row.Remedy = err.Error(), problem.Remedy(err)
		if errors.Is(err, probe.ErrUnsupported) {
			row.setResult(Unknown)
			row.Error, row.Remedy = "cannot be determined from here: "+row.Error, remedyUnsupported
		}
		if errors.Is(err, probe.ErrHostUnknown) {
			row.unknown = disowned
		}
		var failed *probe.Error
		row.unreachable = errors.As(err, &failed) && failed.Stage == probe.Connecting
		return row.unreachable
	}
	leaf := s.Chain[0]
	v.setServed(row, s)
	row.setResult(OK)
	row.Serves = "the live pair"
	if v.now.After(leaf.NotAfter) {
		row.Serves = row.Pair.describe(leaf, row.Target, v.now)
	}
	if !leaf.Equal(want) {
		stale := &probe.StaleError{
			Endpoint: p.Endpoint, ServerName: p.SNI, NotAfter: leaf.NotAfter,
			Got: probe.Fingerprint(leaf), Want: probe.Fingerprint(want),
		}
		row.setResult(Failed)
		row.Serves = row.Pair.describe(leaf, row.Target, v.now)
		row.Error, row.Remedy, row.unknown = stale.Error(), stale.Remedy(), v.absenceOf(row, leaf, want)
	}
	for _, f := range probe.Check(s, probe.Expect{Now: v.now, Names: []string{}, Roots: v.Roots, Known: row.Pair.intermediates()}) {
		v.addDeployedIssue(row, f)
	}
	v.unnamed(ctx, row, p, s)
	return false
}

// addDeployedIssue adds an issue of a pair that is deployed. Whether its CA is
// trusted is not checked there, and when it ends is reported by "status".
func (v *Verifier) addDeployedIssue(row *Check, f probe.Issue) {
	issue := Issue{f.Fault, f.Text, Warning}
	switch f.Fault {
	case probe.Incomplete, probe.Expired:
		issue.Result = Failed
	case probe.OldTLS:
		if !strings.HasPrefix(row.Endpoint, "smtp:") { // senders of mail that check nothing may go on
			issue.Result = Failed
		}
	case probe.Untrusted, probe.EndsSoon, probe.NotClient:
		return
	}
	if f.Fault == probe.Incomplete && row.Pair.Source == other {
		return // the pair is the fault
	}
	row.Issues = append(row.Issues, issue)
	if severity[issue.Result] > severity[row.Result] {
		row.setResult(issue.Result)
		row.Error, row.Remedy = fmt.Sprintf("%s serves a certificate that %s", row.Endpoint, f.Text), remedies[f.Fault]
	}
}

// absenceOf returns how an endpoint that serves leaf does not serve the pair of a row.
func (v *Verifier) absenceOf(row *Check, leaf, want *x509.Certificate) absence {
	switch {
	case row.Pair != nil && row.Pair.Target == row.Target, slices.Equal(keypair.Names(leaf), keypair.Names(want)), v.now.After(leaf.NotAfter):
		return present
	case probe.IsFor(leaf, row.Name, false):
		return foreign
	}
	return disowned
}

// lastSeen returns what the endpoint of a row served of its target when the daemon or a
// command probed it last; "" if that is not known.
func lastSeen(targets []input.Target) func(Check) string {
	type place struct{ target, deployment, endpoint string }
	seen := map[place]string{}
	for _, t := range targets {
		for _, d := range t.Deployments {
			for _, e := range d.Endpoints {
				seen[place{t.Name, d.Name, e.String()}] = e.Seen
			}
		}
	}
	return func(row Check) string { return seen[place{row.Target, row.Deployment, row.Endpoint}] }
}
