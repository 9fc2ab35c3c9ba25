package engine

import (
	"fmt"
	"slices"
	"strings"

	"keypaird/cmd/keypaird/config/hostname"
	"keypaird/renew"
	"keypaird/renew/problem"
	"keypaird/renew/textfmt"
)

// Find returns the targets called names, sorted by name; all, if there are no
// names. An operator may type a name as in the configuration: in
// any case, with a final dot.
func (e *Engine) Find(names []string) ([]renew.Target, error) {
	if len(names) == 0 {
		return e.Targets, nil
	}
	selected := map[string]bool{}
	for _, name := range names {
		name = TargetName(name)
		if !e.HasTarget(name) {
			return nil, e.noTarget(name)
		}
		selected[name] = true
	}
	return e.Select(selected), nil
}

// findHere is Find without the names that no target has: in a fleet they are for other
// nodes, or for none.
func (e *Engine) findHere(names []string) ([]renew.Target, error) {
	here := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !e.HasTarget(TargetName(name)) })
	if len(here) == 0 && len(names) > 0 {
		return nil, nil
	}
	return e.Find(here)
}

// HasTarget reports whether there is a target called name.
func (e *Engine) HasTarget(name string) bool {
	return slices.ContainsFunc(e.Targets, func(t renew.Target) bool { return t.Name == name })
}

// maxListed is how many targets an error lists.
const maxListed = 20

func (e *Engine) noTarget(name string) error {
	var names []string
	for _, s := range e.Targets {
		names = append(names, s.Name)
	}
	remedy := "the configuration has: " + strings.Join(names, " ")
	if len(names) > maxListed {
		remedy = "keypaird status lists all"
		if near := textfmt.Nearest(name, names); near != "" {
			remedy = fmt.Sprintf("did you mean %q? ", near) + remedy
		}
	}
	return problem.Newf(remedy, "no target %q", name)
}

// TargetName returns the name that an operator typed as the configuration has
// it. An unusable name is returned unchanged.
func TargetName(typed string) string {
	if name, err := hostname.Normal(typed); err == nil {
		return name
	}
	return typed
}
