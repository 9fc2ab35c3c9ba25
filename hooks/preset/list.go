package preset

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"keypaird/renew/problem"
	"keypaird/renew/textfmt"
)

// A List describes servers, for "keypaird deploy -list".
type List []Description

// A Description describes a server and its deployments.
type Description struct {
	Name    string   `json:"name"`
	Files   []string `json:"files"` // purpose, path, owner and mode; none: it reads the store
	Check   []string `json:"check,omitempty"`
	Reload  []string `json:"reload,omitempty"`
	Restart []string `json:"restart,omitempty"`
	Single  bool     `json:"single"`           // one certificate for every name
	Verify  []string `json:"verify,omitempty"` // where it usually listens
	Setup   []string `json:"setup"`
	Notes   []string `json:"notes"`
	Missing []string `json:"missing,omitempty"` // on this machine
	Remedy  []string `json:"remedy,omitempty"`  // for each that is missing
}

// Describe returns the servers with these names, and what this machine lacks for
// them; or all servers, without that: no machine has them all.
func Describe(names ...string) (List, error) {
	for _, name := range names {
		if find(name) == nil {
			return nil, Unknown(name)
		}
	}
	list := List{}
	for _, s := range Servers() {
		if len(names) > 0 && !slices.Contains(names, s.Name) {
			continue
		}
		d := Description{
			Name: s.Name, Files: append([]string{}, s.Files()...), Check: s.Deployment.Check, Reload: s.Deployment.Reload,
			Restart: s.Deployment.Restart, Single: s.Deployment.Single, Verify: s.Verify, Setup: s.Setup, Notes: s.Notes,
		}
		if len(names) > 0 {
			for _, err := range Missing(&s.Deployment, nil) {
				d.Missing, d.Remedy = append(d.Missing, err.Error()), append(d.Remedy, problem.Remedy(err))
			}
		}
		list = append(list, d)
	}
	return list, nil
}

// Unknown returns the error for a name that no preset has.
func Unknown(name string) error {
	remedy := "name some of: " + strings.Join(Names(), ", ")
	if near := textfmt.Nearest(name, Names()); near != "" {
		remedy = fmt.Sprintf("did you mean %q? keypaird deploy -list has all", near)
	}
	remedy += "; any other server has a table [deploy.NAME] of its own: see keypaird.toml(5)"
	return problem.Newf(remedy, "there is no preset %q", textfmt.Cut(name, 100))
}

// WriteText prints the list as text.
func (l List) WriteText(out io.Writer) error {
	w := bufio.NewWriter(out) // keeps the first error for Flush
	for i, d := range l {
		if i > 0 {
			fmt.Fprintln(w)
		}
		d.write(w)
	}
	return w.Flush()
}

func (d Description) write(w io.Writer) {
	fmt.Fprintln(w, d.Name)
	line := func(what, text string) {
		for l := range strings.Lines(text) {
			l = strings.TrimRight(l, "\n")
			if slices.Contains([]string{"check", "reload", "restart", "setup"}, what) || l != text {
				l = textfmt.Fixed(l)
			}
			fmt.Fprintf(w, "  %-9s %s\n", what, l)
			what = ""
		}
	}
	for _, f := range d.Files {
		line("file", f)
	}
	if len(d.Files) == 0 {
		line("file", "none: it reads the store")
	}
	line("check", strings.Join(d.Check, " "))
	line("reload", strings.Join(d.Reload, " "))
	line("restart", strings.Join(d.Restart, " "))
	if len(d.Verify) > 0 {
		line("verify", fmt.Sprintf("for example [%s]", strings.Join(quoted(d.Verify), ", ")))
	}
	line("setup", strings.Join(d.Setup, "\n"))
	for _, n := range d.Notes {
		line("note", n)
	}
	for i, m := range d.Missing {
		line("missing", m)
		line("remedy", d.Remedy[i])
	}
}

// quoted returns list as the configuration writes it.
func quoted(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = strconv.Quote(s)
	}
	return out
}
