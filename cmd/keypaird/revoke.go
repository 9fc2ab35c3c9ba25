package main

import (
	"context"
	"fmt"
	"strings"

	"keypaird/cmd/keypaird/accounts"
	"keypaird/cmd/keypaird/engine"
	"keypaird/renew"
	"keypaird/renew/problem"
)

// revokeCommand revokes the live certificate of a target, once another one with another
// key is in its place.
func revokeCommand(ctx context.Context, e *env, args []string) error {
	var r accounts.Revocation
	e.flags.StringVar(&r.Reason, "reason", "", "`REASON` to give: "+strings.Join(accounts.Reasons(), ", ")+"; default: none")
	e.flags.BoolVar(&r.Key, "key", false, "sign by the certificate's key in place of the account's; keyCompromise always does")
	only := e.flags.Bool("only", false, "revoke at once, and order no replacement")
	asJSON := e.flags.Bool("json", false, "print what was revoked as JSON")
	verbose := e.flags.Bool("v", false, "log every step")
	names, err := e.parse(args)
	if err != nil {
		return err
	}
	if len(names) != 1 {
		return &usageError{problem: "revoke needs the name of one target"}
	}
	cfg, err := e.load()
	if err != nil {
		return err
	}
	show, log := e.progress(*verbose)
	w, end, err := e.begin(ctx, cfg, engine.Options{Log: log})
	if err != nil {
		return err
	}
	defer end()
	r.Target = engine.TargetName(names[0])
	if err := r.Find(w); err != nil {
		return err
	}
	if !*only && w.HasTarget(r.Target) {
		targets, err := w.WithNewKeys(w.Select(map[string]bool{r.Target: true}), true)
		if err != nil {
			return err
		}
		pass := w.Pass(renew.Force)
		pass.Step, pass.Records = show.Step, new(renew.Records)
		var did renew.Report
		show.Run(func() { did = pass.Run(ctx, targets) })
		if len(did.Errs) > 0 || r.Replaced(w) == "" {
			report(e.stderr, did.Errs...)
			return problem.New(fmt.Sprintf("the certificate of %q is not revoked: it has no replacement yet", r.Target),
				"repair what failed and try again, or revoke it without: keypaird revoke -only "+r.Target)
		}
	}
	done, err := r.Run(ctx, w)
	if err != nil {
		return err
	}
	return e.print(done, *asJSON)
}
