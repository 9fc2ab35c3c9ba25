package main

import (
	"context"
	"fmt"
	"io"
	"slices"

	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/engine"
	"keypaird/renew/problem"
	"keypaird/renew/unconfigured"
)

// forgetCommand removes what is stored of targets that are no longer configured.
func forgetCommand(ctx context.Context, e *env, args []string) error {
	files := e.flags.Bool("files", false, "remove the deployed files that still hold the pair, too; no server may use them any more")
	asJSON := e.flags.Bool("json", false, "print what was removed as JSON")
	names, err := e.parse(args)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return &usageError{problem: "forget needs the name of a target that is no longer configured"}
	}
	o := e.options()
	o.NoSecrets = true
	cfg, err := config.Load(o)
	if err != nil {
		return err
	}
	w, err := e.engine(cfg, logger(e.stderr, levelQuiet))
	if err != nil {
		return err
	}
	defer w.Close()
	lock, err := w.Lock(ctx, e.waiting)
	if err != nil {
		return err
	}
	defer lock.Release()
	list, err := e.toForget(w, names)
	if err != nil {
		return err
	}
	rows := forgottenRows{}
	for _, c := range list {
		row := forgotten{Target: c.Name}
		row.Removed, err = c.Remove(*files)
		if !*files {
			row.Left = c.Files()
		}
		if len(row.Removed) > 0 {
			rows = append(rows, row)
		}
		if err != nil {
			err = fmt.Errorf("forgetting %q: %w", c.Name, err)
			break
		}
	}
	if printed := e.print(rows, *asJSON); err == nil {
		err = printed
	}
	if err == nil && len(rows) == 0 {
		return errNothing
	}
	return err
}

// toForget returns what is stored of the targets called names. One that is
// configured is refused. Of one that is not known there is nothing to remove.
func (e *env) toForget(w *engine.Engine, names []string) ([]unconfigured.Certificate, error) {
	for i, name := range names {
		names[i] = engine.TargetName(name)
		if w.HasTarget(names[i]) {
			return nil, problem.Newf("remove it from the configuration first", "target %q is configured", names[i])
		}
	}
	list, unread := w.Unconfigured()
	for _, name := range names {
		if slices.ContainsFunc(list, func(c unconfigured.Certificate) bool { return c.Name == name }) {
			continue
		}
		if unread != nil {
			return nil, unread
		}
		fmt.Fprintf(e.stderr, "keypaird: nothing is stored of %q\n", name)
	}
	return slices.DeleteFunc(list, func(c unconfigured.Certificate) bool { return !slices.Contains(names, c.Name) }), nil
}

// A forgotten is what was removed of a target, a row of "keypaird forget -json".
type forgotten struct {
	Target  string   `json:"target"`
	Removed []string `json:"removed"`        // files and directories
	Left    []string `json:"left,omitempty"` // deployed files that still hold the pair
}

type forgottenRows []forgotten

// WriteText writes a line for each file or directory.
func (rows forgottenRows) WriteText(w io.Writer) error {
	for _, r := range rows {
		for _, path := range r.Removed {
			if _, err := fmt.Fprintf(w, "%s: removed %s\n", r.Target, path); err != nil {
				return err
			}
		}
		for _, path := range r.Left {
			if _, err := fmt.Fprintf(w, "%s: left %s, which still holds the pair\n", r.Target, path); err != nil {
				return err
			}
		}
	}
	return nil
}
