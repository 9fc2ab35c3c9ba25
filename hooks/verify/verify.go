package verify

import (
	"context"
	"crypto/x509"
	"slices"
	"sync"
	"time"

	"keypaird/hooks/discover"
	"keypaird/hooks/probe"
	"keypaird/renew/keypair"
)

// A Target is a certificate and the servers it is deployed to.
type Target struct {
	Name        string // of the target in the store
	Names       []string
	Deployments []Deployment
}

// A Deployment is a server with the endpoints at which it serves its targets.
type Deployment struct {
	Name      string
	Endpoints []Endpoint
}

// An Endpoint is where a target is to be served, and for which of its names.
type Endpoint struct {
	probe.Endpoint
	Names []string
}

// A Domain is a domain. Its endpoints are found as its peers find them.
type Domain struct {
	Name       string
	Services   []string // none: all
	Components []string // further XMPP domains
	Names      []string // only endpoints that need one of these names; none: all
	Configured bool     // the services are known to exist
	Optional   bool     // it is left out if peers find no endpoint of it
}

// A Verifier verifies targets and domains.
type Verifier struct {
	Lookup discover.Discoverer // finds the endpoints of domains
	Roots  *x509.CertPool      // trusted; required
	Store  *keypair.Store      // of the live pairs; nil: certificates are not compared with stored ones
	Stored []Target            // all targets of Store, to find a certificate's by its names

	matcher matcher
	prober  *prober
	now     time.Time
}

// Verify probes the endpoints of targets and domains, and returns one Check
// for each address and name. An error means that a domain is not valid.
func (v *Verifier) Verify(ctx context.Context, targets []Target, domains []Domain) ([]Check, error) {
	v.matcher, v.prober, v.now = newMatcher(v.Store, v.Stored), newProber(), time.Now()
	deployed := make([][]Check, len(targets))
	var wg sync.WaitGroup
	for i, t := range targets {
		wg.Go(func() { deployed[i] = v.checkTarget(ctx, t) })
	}
	wg.Wait()
	rows := slices.Concat(deployed...)
	warnNotServed(rows, v.lastSeen)
	for _, d := range domains {
		checks, err := v.checkDomain(ctx, d)
		if err != nil {
			return nil, err
		}
		rows = append(rows, checks...)
	}
	return rows, nil
}

// newMatcher returns the matcher of a store with these targets.
func newMatcher(store *keypair.Store, targets []Target) matcher {
	m := matcher{store, map[string][]string{}}
	for _, t := range targets {
		for _, name := range t.Names {
			m.byName[name] = append(m.byName[name], t.Name)
		}
	}
	return m
}
