package main

import (
	"context"
	"strings"

	"keypaird/cmd/keypaird/accounts"
	"keypaird/cmd/keypaird/cli"
	"keypaird/cmd/keypaird/engine"
)

// revokeCommand revokes the live certificate of a target, once another one with another
// key is in its place.
func revokeCommand(ctx context.Context, e *env, args []string) error {
	var r accounts.Revocation
	e.Flags.StringVar(&r.Reason, "reason", "", "`REASON` to give: "+strings.Join(accounts.Reasons(), ", ")+"; default: none")
	e.Flags.BoolVar(&r.Key, "key", false, "sign by the certificate's key in place of the account's; keyCompromise always does")
	only := e.Flags.Bool("only", false, "revoke at once; the next pass orders the replacement")
	asJSON := e.Flags.Bool("json", false, "print what was revoked as JSON")
	verbose := e.Flags.Bool("v", false, "log every step")
	names, err := e.Parse(args)
	if err != nil {
		return err
	}
	if len(names) != 1 {
		return cli.Usage("revoke needs the name of one target")
	}
	show, log := e.Progress(*verbose)
	eng, end, err := e.begin(ctx, e.load, log)
	if err != nil {
		return err
	}
	defer end()
	r.Target = engine.TargetName(names[0])
	if err := r.Find(eng); err != nil {
		return err
	}
	if !*only && eng.HasTarget(r.Target) {
		var errs []error
		show.Run(func() { errs, err = r.Replace(ctx, eng, show.Step) })
		cli.Report(e.Stderr, errs...)
		if err != nil {
			return err
		}
	}
	done, err := r.Run(ctx, eng)
	if err != nil {
		return err
	}
	return e.Print(done, *asJSON)
}
