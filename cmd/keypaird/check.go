package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/preflight"
)

// check reads the configuration and reports every mistake; with -live it also
// tries what issuing needs. It orders nothing.
func (a *app) check(ctx context.Context, args []string) error {
	flags := a.flags("check")
	live := flags.Bool("live", false, "try what issuing needs: CAs, DNS accounts, http-01, CAA, files, TLSA records; and see which names peers need")
	asJSON := flags.Bool("json", false, "print the findings as JSON")
	if err := parse(flags, args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return &UsageError{"check takes no names"}
	}
	cfg, err := a.load()
	if err != nil {
		return a.mistaken(err, *asJSON)
	}
	found := []preflight.Finding{}
	if *live {
		if found, err = a.checkWithEngine(ctx, cfg); err != nil {
			return err
		}
	} else {
		found = append(found, preflight.Configuration(ctx, cfg)...)
	}
	if *asJSON {
		if err := a.printJSON(found); err != nil {
			return err
		}
	} else {
		a.printFindings(found)
	}
	failed := 0
	for _, f := range found {
		if f.Result == preflight.Failed {
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d checks failed", failed, len(found))
	}
	if !*asJSON {
		n := len(cfg.Targets())
		fmt.Fprintf(a.stdout, "configuration is correct: %d %s\n", n, plural(n, "target", "targets"))
	}
	return nil
}

// checkWithEngine is check -live: it tries what issuing needs.
func (a *app) checkWithEngine(ctx context.Context, cfg *config.Config) ([]preflight.Finding, error) {
	w, err := a.engine(cfg, a.logger(levelQuiet))
	if err != nil {
		return nil, err
	}
	cas, err := w.CAs()
	if err != nil {
		w.Close()
		return nil, err
	}
	lock, err := a.lock(ctx, w)
	if err != nil {
		w.Close()
		return nil, err
	}
	defer lock.Release()
	defer w.Shutdown(ctx)
	found := preflight.Live(ctx, w, cas)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return found, nil
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// mistaken reports a wrong configuration; as JSON if a program asked.
func (a *app) mistaken(err error, asJSON bool) error {
	var mistakes config.Mistakes
	var file *config.FileError
	found := []preflight.Finding{}
	switch {
	case !asJSON:
		return err
	case errors.As(err, &file):
		found = append(found, preflight.Finding{Check: "configuration", Subject: file.Path, Result: preflight.Failed, Detail: file.Problem, Remedy: file.Hint})
	case !errors.As(err, &mistakes):
		return err
	}
	for _, m := range mistakes {
		found = append(found, preflight.Finding{Check: "configuration", Subject: fmt.Sprintf("%s:%d", m.File, m.Line), Result: preflight.Failed, Detail: m.Key + ": " + m.Problem, Remedy: m.Remedy})
	}
	if err := a.printJSON(found); err != nil {
		return err
	}
	return errSaid
}

// printFindings prints a line for each, and the remedy under those that are not
// good.
func (a *app) printFindings(found []preflight.Finding) {
	for _, f := range found {
		fmt.Fprintf(a.stdout, "%-8s%s %s", f.Result, f.Check, f.Subject)
		if f.Detail != "" {
			fmt.Fprintf(a.stdout, ": %s", f.Detail)
		}
		fmt.Fprintln(a.stdout)
		if f.Remedy != "" {
			fmt.Fprintf(a.stdout, "        remedy: %s\n", strings.ReplaceAll(f.Remedy, "\n", "\n          "))
		}
	}
}
