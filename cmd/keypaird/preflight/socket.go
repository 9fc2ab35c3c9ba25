package preflight

import (
	"context"

	"keypaird/hooks"
)

// checkSocket warns if haproxy does not answer at the socket of a deployment, or may not
// be sent the keys of its targets.
func checkSocket(ctx context.Context, d *hooks.Deployment, targets []string) []Finding {
	if detail, _ := socketProblem(d.Socket); d.Socket == "" || detail != "" {
		return nil // reported as a setting
	}
	f := finding("deploy", d.Name, "", d.CheckSocket(ctx, targets...))
	if f.Result == Good {
		return nil
	}
	f.Result = Warning // pairs are written to their files
	return []Finding{f}
}
