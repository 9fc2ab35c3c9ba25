package preflight

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"keypaird/cmd/keypaird/engine"
	"keypaird/cmd/keypaird/names"
	"keypaird/hooks/verify"
)

// checkServed compares what the endpoints of deployments serve now with what is stored.
// That they serve another certificate is no failure: the stored one may not be deployed
// yet.
func checkServed(ctx context.Context, e *engine.Engine) []Finding {
	targets := names.Targets(e, nil)
	v := verify.Verifier{Store: e.Store, Stored: targets, Roots: x509.NewCertPool()}
	stored := slices.DeleteFunc(slices.Clone(targets), func(t verify.Target) bool {
		_, _, _, err := e.Store.LiveLeaf(t.Name)
		return err != nil // there is nothing to compare, or checkStored says so
	})
	rows, err := v.Verify(ctx, stored, nil)
	if err != nil {
		return []Finding{finding("deploy", "endpoints", "", err)}
	}
	var found []Finding
	for _, r := range rows {
		newest, _, fingerprint, err := e.Store.NewestLeaf(r.Target)
		if err != nil || r.Unreachable() { // checkListening says so
			continue
		}
		f := Finding{Check: "deploy", Subject: r.Deployment + " for " + r.Target, Result: Warning, Detail: r.Error, Remedy: r.Remedy}
		switch {
		case r.Shown == nil && r.Result != verify.OK:
		case r.Shown == nil || r.Shown.Fingerprint == fingerprint && r.Result == verify.OK:
			continue
		case r.Shown.Fingerprint != fingerprint:
			if r.Result == verify.OK {
				f.Detail = r.Endpoint + " serves the live certificate for " + r.Name + ", not the newest"
			}
			f.Detail += ends(r.Shown.NotAfter, newest.NotAfter)
			if r.Result != verify.Warning {
				f.Remedy = "deploy the stored one, if that was not done: keypaird deploy " + r.Target + "; then see that the configuration of the server names its files"
			}
		}
		found = append(found, f)
	}
	return found
}

// ends says when a served certificate ends, and whether that is before the stored one.
func ends(served, stored time.Time) string {
	text := "; it ends " + served.UTC().Format(time.RFC3339)
	if served.Before(stored) {
		text += fmt.Sprintf(", before the stored one: %s", stored.UTC().Format(time.RFC3339))
	}
	return text
}
