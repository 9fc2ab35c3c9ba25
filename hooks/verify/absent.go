package verify

import (
	"crypto/x509"
	"slices"

	"keypaird/hooks/probe"
	"keypaird/renew"
	"keypaird/renew/keypair"
)

// An absence says how an endpoint that is up does not serve a target for a name.
type absence int

const (
	present  absence = iota // it serves a pair of the target, or is down
	foreign                 // it serves another certificate, which is for the name too
	disowned                // it does not know the name
)

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
func (v *Verifier) lastSeen(row Check) string {
	rec, err := renew.LoadRecord(v.Store, row.Target)
	if err != nil {
		return ""
	}
	return rec.Deployments[row.Deployment].Endpoints[row.Endpoint].State
}

// warnNotServed turns failures into warnings where an endpoint need not serve a name, as
// in a deployment: it serves the target for another name; or it serves other targets and
// was never seen to serve this one, which is served elsewhere or not for that name.
func warnNotServed(rows []Check, lastSeen func(Check) string) {
	type place struct{ target, endpoint string }
	serving, here, verified := map[string]bool{}, map[place]bool{}, map[string]bool{}
	for _, r := range rows {
		if r.Target != "" && r.OK {
			serving[r.Endpoint], here[place{r.Target, r.Endpoint}], verified[r.Target] = true, true, true
		}
	}
	for i := range rows {
		r := &rows[i]
		if r.unknown == present || r.OK {
			continue
		}
		seen := lastSeen(*r)
		elsewhere := seen != renew.SeenServed && (serving[r.Endpoint] || seen == renew.SeenAbsent) && (verified[r.Target] || r.unknown == disowned)
		if here[place{r.Target, r.Endpoint}] || elsewhere {
			r.setResult(Warning)
			r.Error = "not served here: " + r.Error
			r.Remedy = "if peers request " + r.Name + " there, configure it in the server; else list the names that they request: names in verify of [deploy." + r.Deployment + "]"
		}
	}
}
