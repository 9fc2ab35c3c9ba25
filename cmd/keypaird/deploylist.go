package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"keypaird/hooks/preset"
	"keypaird/renew"
)

// A presetView is what deploy -list says of a preset.
type presetView struct {
	Name    string   `json:"name"`
	Files   []string `json:"files"` // purpose, path, owner and mode; none: it reads the store
	Check   []string `json:"check,omitempty"`
	Reload  []string `json:"reload,omitempty"`
	Restart []string `json:"restart,omitempty"`
	Single  bool     `json:"single"` // one certificate for every name
	Setup   []string `json:"setup"`
	Notes   []string `json:"notes"`
	Missing []string `json:"missing,omitempty"` // on this machine
	Remedy  []string `json:"remedy,omitempty"`
}

// deploy lists the presets, or those named. It needs no configuration.
func (a *app) deploy(_ context.Context, args []string) error {
	flags := a.flags("deploy")
	list := flags.Bool("list", false, "list the presets, or those named")
	asJSON := flags.Bool("json", false, "print as JSON")
	if err := parse(flags, args); err != nil {
		return err
	}
	if !*list {
		return &UsageError{"deploy only lists presets: keypaird deploy -list; to deploy, keypaird issue"}
	}
	names := flags.Args()
	for _, name := range names {
		if !slices.Contains(preset.Names(), name) {
			return &UsageError{fmt.Sprintf("there is no preset %q: keypaird deploy -list", name)}
		}
	}
	views := []presetView{}
	for _, s := range preset.Servers() {
		if len(names) == 0 || slices.Contains(names, s.Name) {
			views = append(views, viewOf(s, len(names) > 0))
		}
	}
	if *asJSON {
		return a.printJSON(views)
	}
	for i, v := range views {
		if i > 0 {
			fmt.Fprintln(a.stdout)
		}
		a.printPreset(v)
	}
	return nil
}

// viewOf says all of a preset; what this machine lacks only if it was asked
// for: nobody has all servers.
func viewOf(s preset.Server, asked bool) presetView {
	v := presetView{
		Name: s.Name, Files: append([]string{}, s.Files()...), Check: s.Deployment.Check, Reload: s.Deployment.Reload,
		Restart: s.Deployment.Restart, Single: s.Deployment.Single, Setup: s.Setup, Notes: s.Notes,
	}
	if asked {
		for _, err := range preset.Missing(&s.Deployment, nil) {
			v.Missing = append(v.Missing, err.Error())
			v.Remedy = append(v.Remedy, renew.Remedy(err))
		}
	}
	return v
}

func (a *app) printPreset(v presetView) {
	fmt.Fprintln(a.stdout, v.Name)
	line := func(what, text string) {
		for l := range strings.Lines(text) {
			fmt.Fprintf(a.stdout, "  %-9s %s\n", what, strings.TrimRight(l, "\n"))
			what = ""
		}
	}
	for _, f := range v.Files {
		line("file", f)
	}
	if len(v.Files) == 0 {
		line("file", "none: it reads the store")
	}
	line("check", strings.Join(v.Check, " "))
	line("reload", strings.Join(v.Reload, " "))
	line("restart", strings.Join(v.Restart, " "))
	line("setup", strings.Join(v.Setup, "\n"))
	for _, n := range v.Notes {
		line("note", n)
	}
	for i, m := range v.Missing {
		line("missing", m)
		line("remedy", v.Remedy[i])
	}
}
