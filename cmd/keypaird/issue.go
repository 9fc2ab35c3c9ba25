package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/engine"
	"keypaird/renew"
	"keypaird/renew/durable"
)

// issue is one pass now: for a person, or for cron.
func (a *app) issue(ctx context.Context, args []string) error {
	flags := a.flags("issue")
	force := flags.Bool("force", false, "renew even if not due, ignoring the limit for these names")
	asJSON := flags.Bool("json", false, "print what was done as JSON")
	verbose := flags.Bool("v", false, "log every step")
	if err := parse(flags, args); err != nil {
		return err
	}
	cfg, err := a.load()
	if err != nil {
		return err
	}
	level := slog.LevelInfo
	show, terminal := newProgress(a.stderr)
	switch {
	case *verbose:
		level, terminal = slog.LevelDebug, false
	case terminal:
		level = slog.LevelWarn
	}
	log := a.logger(level)
	if terminal {
		log = logTo(show, level)
	}
	w, err := a.engine(cfg, log)
	if err != nil {
		return err
	}
	if _, err := w.CAs(); err != nil {
		w.Close()
		return err
	}
	lock, err := a.lock(ctx, w)
	if err != nil {
		w.Close()
		return err
	}
	defer lock.Release() // after the end: children may still be removing their records
	defer w.Shutdown(ctx)
	targets, err := choose(w, flags.Args())
	if err != nil {
		return err
	}
	pass := w.Pass(renew.Manual)
	if *force {
		pass.Mode = renew.Force
	}
	if terminal {
		pass.Step = show.step
		stop := show.start()
		defer stop()
	}
	report := pass.Run(ctx, targets)
	show.finish()
	return a.issued(report.Done, report.Errs, *asJSON)
}

// lock takes the state's lock, and says so if it has to wait for it.
func (a *app) lock(ctx context.Context, w *engine.Engine) (*durable.Lock, error) {
	return durable.AcquireLock(ctx, w.LockPath(), func(holder string) {
		fmt.Fprintf(a.stderr, "keypaird: waiting for another keypaird: %s\n", holder)
	})
}

// issued prints what a pass did and says how it went.
func (a *app) issued(done []renew.Done, errs []error, asJSON bool) error {
	if asJSON {
		if err := a.printJSON(results(done, errs)); err != nil {
			return err
		}
	} else {
		for _, d := range done {
			fmt.Fprintln(a.stdout, sentence(d))
		}
	}
	switch {
	case len(errs) > 0:
		return Errors(errs)
	case len(done) == 0:
		return errNothing
	}
	return nil
}

// A targetResult is how it went for one target, a row of "keypaird issue -json".
type targetResult struct {
	renew.Done
	OK     bool   `json:"ok"`
	Step   string `json:"step,omitempty"` // that failed
	Error  string `json:"error,omitempty"`
	Remedy string `json:"remedy,omitempty"`
}

// results are what was done and, by target, what failed.
func results(done []renew.Done, errs []error) []targetResult {
	rows := []targetResult{}
	for _, d := range done {
		rows = append(rows, targetResult{Done: d, OK: true})
	}
	for _, err := range errs {
		var failed *renew.TargetError
		if !errors.As(err, &failed) {
			continue
		}
		for _, name := range failed.Targets {
			i := slices.IndexFunc(rows, func(r targetResult) bool { return r.Target == name })
			if i < 0 {
				i = len(rows)
				rows = append(rows, targetResult{Done: renew.Done{Target: name, Action: renew.None}})
			}
			rows[i].OK, rows[i].Step, rows[i].Error, rows[i].Remedy = false, failed.Step, failed.Err.Error(), renew.Remedy(err)
		}
	}
	return rows
}

func sentence(d renew.Done) string {
	until := d.NotAfter.Format(time.RFC3339)
	switch {
	case d.CA == renew.NameOfExternal:
		return fmt.Sprintf("%s: imported from its files, valid until %s (%s)", d.Target, until, d.Why)
	case d.Action == renew.Issue:
		return fmt.Sprintf("%s: issued by %s, valid until %s (%s)", d.Target, d.CA, until, d.Why)
	}
	return fmt.Sprintf("%s: deployed, valid until %s (%s)", d.Target, until, d.Why)
}

// choose returns the targets called names, or all.
func choose(w *engine.Engine, names []string) ([]renew.Target, error) {
	names = normalNames(names)
	var wanted map[string]bool
	for _, name := range names {
		if wanted == nil {
			wanted = map[string]bool{}
		}
		wanted[name] = true
	}
	return w.Select(wanted), known(w, names)
}

// normalNames takes names as the configuration does: in any case, with a dot.
func normalNames(names []string) []string {
	out := slices.Clone(names)
	for i, s := range out {
		if name, err := config.NormalName(s); err == nil {
			out[i] = name
		}
	}
	return out
}

// known refuses a name that is no target.
func known(w *engine.Engine, names []string) error {
	for _, name := range names {
		if strings.HasPrefix(name, "-") {
			return &UsageError{fmt.Sprintf("%s stands after a name: options go before names", name)}
		}
		if !slices.ContainsFunc(w.Targets, func(t renew.Target) bool { return t.Name == name }) {
			return &NoTargetError{name, w.Targets}
		}
	}
	return nil
}

// A NoTargetError reports a name on the command line that the configuration
// does not know.
type NoTargetError struct {
	Name  string
	Known []renew.Target
}

func (e *NoTargetError) Error() string { return fmt.Sprintf("no target %q", e.Name) }

// Remedy says what the operator can do about it.
func (e *NoTargetError) Remedy() string {
	var names []string
	for _, s := range e.Known {
		names = append(names, s.Name)
	}
	return "the configuration has: " + strings.Join(names, " ")
}
