package verify

import (
	"context"
	"crypto/x509"
	"slices"
	"sync"
	"time"

	"keypaird/hooks/discover"
	"keypaird/hooks/verify/input"
)

// A Verifier verifies targets and domains.
type Verifier struct {
	Lookup discover.Discoverer // finds the endpoints of domains
	Roots  *x509.CertPool      // trusted; required
	Stored *input.Stored       // what is stored; nil: certificates are not compared with it

	matcher matcher
	prober  *prober
	now     time.Time
}

// Verify probes the endpoints of targets and domains, and returns one Check
// for each address and name. An error means that a domain is not valid.
func (v *Verifier) Verify(ctx context.Context, targets []input.Target, domains []input.Domain) ([]Check, error) {
	v.matcher, v.prober, v.now = newMatcher(v.Stored), newProber(), time.Now()
	deployed := make([][]Check, len(targets))
	var wg sync.WaitGroup
	for i, t := range targets {
		wg.Go(func() { deployed[i] = v.checkTarget(ctx, t) })
	}
	wg.Wait()
	rows := slices.Concat(deployed...)
	warnNotServed(rows, lastSeen(targets))
	seen, errs := make([][]Check, len(domains)), make([]error, len(domains))
	slots := make(chan struct{}, maxLookups)
	for i, d := range domains {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			seen[i], errs[i] = v.checkDomain(ctx, d)
		})
	}
	wg.Wait()
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		return nil, errs[i]
	}
	return append(rows, slices.Concat(seen...)...), nil
}
