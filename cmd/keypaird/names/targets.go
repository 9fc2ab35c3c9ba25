package names

import (
	"errors"
	"io/fs"

	"keypaird/cmd/keypaird/engine"
	"keypaird/hooks/verify/input"
	"keypaird/renew"
)

// Targets returns the targets called names, or all, as verify takes them.
func Targets(e *engine.Engine, names map[string]bool) []input.Target {
	var list []input.Target
	for _, target := range e.Select(names) {
		t := input.Target{Name: target.Name, Names: e.Names(target)}
		switch leaf, _, _, err := e.Store.LiveLeaf(t.Name); {
		case err == nil:
			t.Leaf = leaf.Raw
		case errors.Is(err, fs.ErrNotExist):
			t.Fault = "no pair is live"
		default:
			t.Fault = err.Error()
		}
		rec, err := renew.LoadRecord(e.Store, t.Name)
		for _, d := range target.Deploy {
			deployed := input.Deployment{Name: d.String()}
			for _, at := range e.Deployments[d.String()].Verify {
				endpoint := input.Endpoint{Endpoint: at.Endpoint, Names: at.Expected(t.Names, target.Domain, target.Components)}
				if err == nil {
					endpoint.Seen = rec.Deployments[deployed.Name].Endpoints[at.Endpoint.String()].State
				}
				deployed.Endpoints = append(deployed.Endpoints, endpoint)
			}
			t.Deployments = append(t.Deployments, deployed)
		}
		list = append(list, t)
	}
	return list
}

// Stored lists the stored certificates of all targets.
func Stored(e *engine.Engine) *input.Stored {
	s := &input.Stored{}
	index := map[string]int{} // of intermediates
	for _, target := range e.Select(nil) {
		p := input.Pairs{Name: target.Name, Names: e.Names(target)}
		p.Live, _ = e.Store.LiveID(p.Name)
		versions, _ := e.Store.Certificates(p.Name) // one that cannot be read is not compared
		for _, v := range versions {
			version := input.Version{ID: v.ID, Fingerprint: v.Fingerprint}
			for _, der := range v.Chain {
				n, known := index[string(der)]
				if !known {
					n = len(s.Intermediates)
					index[string(der)] = n
					s.Intermediates = append(s.Intermediates, der)
				}
				version.Chain = append(version.Chain, n)
			}
			p.Versions = append(p.Versions, version)
		}
		s.Targets = append(s.Targets, p)
	}
	return s
}
