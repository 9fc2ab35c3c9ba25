package engine

import (
	"fmt"
	"io"
	"slices"

	"keypaird/renew/problem"
	"keypaird/renew/unconfigured"
)

// A Forgotten lists what was removed for one target, a row of "keypaird forget -json".
type Forgotten struct {
	Target  string   `json:"target"`
	Removed []string `json:"removed"`        // files and directories
	Left    []string `json:"left,omitempty"` // deployed files that still hold the pair
}

// ForgottenRows are the rows of several targets.
type ForgottenRows []Forgotten

// Forget removes stored data of the targets called names: everything of those that are no
// longer configured, of the others the records of files that the configuration moved.
// files: the deployed files that still hold the pair are removed, too. unknown is called
// with names of which nothing is stored. The rows list what was removed before an error.
func (e *Engine) Forget(names []string, files bool, unknown func(name string)) (ForgottenRows, error) {
	rows, names, err := e.forgetLeft(names, files)
	if err != nil {
		return rows, err
	}
	list, unread := e.Unconfigured()
	for _, name := range names {
		switch {
		case slices.ContainsFunc(list, func(c unconfigured.Certificate) bool { return c.Name == name }):
		case unread != nil:
			return rows, unread
		default:
			unknown(name)
		}
	}
	for _, c := range list {
		if !slices.Contains(names, c.Name) {
			continue
		}
		row := Forgotten{Target: c.Name}
		row.Removed, err = c.Remove(files)
		if !files {
			row.Left = c.Files()
		}
		if len(row.Removed) > 0 {
			rows = append(rows, row)
		}
		if err != nil {
			return rows, fmt.Errorf("forgetting %q: %w", c.Name, err)
		}
	}
	return rows, nil
}

// forgetLeft forgets the files that deployments of configured targets wrote before the
// configuration moved them, and returns the names of the other targets. A configured
// target without such files is refused.
func (e *Engine) forgetLeft(names []string, files bool) (rows ForgottenRows, others []string, err error) {
	rows = ForgottenRows{}
	for _, name := range names {
		if name = TargetName(name); !e.HasTarget(name) {
			others = append(others, name)
			continue
		}
		removed, left, err := e.removeLeft(name, files)
		row := Forgotten{Target: name, Removed: append([]string{}, removed...), Left: left}
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

// WriteText writes a line for each file or directory.
func (rows ForgottenRows) WriteText(w io.Writer) error {
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
