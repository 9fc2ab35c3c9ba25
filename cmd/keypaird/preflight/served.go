package preflight

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"keypaird/cmd/keypaird-names/message"
	"keypaird/cmd/keypaird/engine"
	"keypaird/cmd/keypaird/names"
	"keypaird/hooks/verify/input"
	"keypaird/renew/problem"
)

// checkServed compares what the endpoints of deployments serve now with what is stored.
// That they serve another certificate is no failure: the stored one may not be deployed
// yet.
func checkServed(ctx context.Context, e *engine.Engine) []Finding {
	stored := slices.DeleteFunc(names.Targets(e, nil), func(t input.Target) bool {
		return len(t.Leaf) == 0 // there is nothing to compare, or checkStored says so
	})
	if !slices.ContainsFunc(stored, hasEndpoints) {
		return nil
	}
	a, err := names.Ask(ctx, message.Request{
		Verify: &message.Verify{Targets: stored, Stored: names.Stored(e)}, Lookup: message.Lookup{RootsOnly: true}, Format: message.Facts,
	}, io.Discard)
	if err == nil && a.Error != "" {
		err = problem.New(a.Error, a.Remedy)
	}
	if err != nil {
		return []Finding{finding("deploy", "endpoints", "", err)}
	}
	var found []Finding
	for _, r := range a.Checks {
		newest, _, fingerprint, err := e.Store.NewestLeaf(r.Target)
		if err != nil || r.Unreachable { // checkListening says so
			continue
		}
		f := Finding{Check: "deploy", Subject: r.Deployment + " for " + r.Target, Result: Warning, Detail: r.Error, Remedy: r.Remedy}
		switch {
		case r.Fingerprint == "" && !r.OK:
		case r.Fingerprint == "" || r.Fingerprint == fingerprint && r.OK:
			continue
		case r.Fingerprint != fingerprint:
			if r.OK {
				f.Detail = r.Endpoint + " serves the live certificate for " + r.Name + ", not the newest"
			}
			f.Detail += ends(r.NotAfter, newest.NotAfter)
			if !r.Warning {
				f.Remedy = "deploy the stored one, if that was not done: keypaird deploy " + r.Target + "; then see that the configuration of the server names its files"
			}
		}
		found = append(found, f)
	}
	return found
}

func hasEndpoints(t input.Target) bool {
	return slices.ContainsFunc(t.Deployments, func(d input.Deployment) bool { return len(d.Endpoints) > 0 })
}

// ends says when a served certificate ends, and whether that is before the stored one.
func ends(served, stored time.Time) string {
	text := "; it ends " + served.UTC().Format(time.RFC3339)
	if served.Before(stored) {
		text += fmt.Sprintf(", before the stored one: %s", stored.UTC().Format(time.RFC3339))
	}
	return text
}
