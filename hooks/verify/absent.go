package verify

import "keypaird/renew/seen"

// warnNotServed turns failures into warnings where an endpoint need not serve a name, as
// in a deployment: it serves the target for another name; or it serves other targets and
// was never seen to serve this one, which is served at another one or not for that name.
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
		state := lastSeen(*r)
		absent := state != seen.Served && (serving[r.Endpoint] || state == seen.Absent) && (verified[r.Target] || r.unknown == disowned)
		if here[place{r.Target, r.Endpoint}] || absent {
			r.setResult(Warning)
			r.Error = "not served here: " + r.Error
			r.Remedy = "if peers request " + r.Name + " there, configure it in the server; else list the names that they request: names in verify of [deploy." + r.Deployment + "]"
		}
	}
}
