package main

import (
	"context"
	"fmt"
	"io"
	"slices"

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
	cfg, err := e.loadWithoutSecrets()
	if err != nil {
		return err
	}
	w, end, err := e.begin(ctx, cfg, logger(e.stderr, levelQuiet))
	if err != nil {
		return err
	}
	defer end()
	rows, names, err := forgetLeft(w, names, *files)
	if err != nil {
		return err
	}
	list, err := e.toForget(w, names)
	if err != nil {
		return err
	}
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

// forgetLeft forgets the files that deployments of configured targets wrote before the
// configuration moved them, and returns the names of the other targets. A configured
// target without such files is refused.
func forgetLeft(w *engine.Engine, names []string, files bool) (rows forgottenRows, others []string, err error) {
	rows = forgottenRows{}
	for _, name := range names {
		if name = engine.TargetName(name); !w.HasTarget(name) {
			others = append(others, name)
			continue
		}
		removed, left, err := w.RemoveLeft(name, files)
		row := forgotten{Target: name, Removed: append([]string{}, removed...), Left: left}
		if err == nil && len(row.Removed)+len(row.Left) == 0 {
			err = problem.Newf("remove it from the configuration first", "target %q is configured", name)
		}
		if err != nil {
			return rows, others, err
		}
		rows = append(rows, row)
	}
	return rows, others, nil
}

// toForget returns what is stored of the targets called names. Of one that is not known there is nothing to remove.
func (e *env) toForget(w *engine.Engine, names []string) ([]unconfigured.Certificate, error) {
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
