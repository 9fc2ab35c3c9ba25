package imports

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"keypaird/cmd/keypaird/imports/trees"
	"keypaird/renew/lifetime"
	"keypaird/renew/textfmt"
)

// A Report lists the findings and the changes of an import.
type Report struct {
	Client       string        `json:"client"`
	Dir          string        `json:"dir"`
	Accounts     []Account     `json:"accounts"`
	Certificates []Certificate `json:"certificates"`
	Config       string        `json:"config"` // path
	Text         string        `json:"text"`   // of the configuration
	Files        []string      `json:"files"`  // beside it, with secrets
	Written      bool          `json:"written"`
	Taken        Taken         `json:"taken_over"`
	Faults       []trees.Note  `json:"faults"`
	NotCarried   []trees.Note  `json:"notes"`
	Runners      []Runner      `json:"runners"`
	Paths        []string      `json:"paths"`    // how the servers' paths change or stay
	Passing      []string      `json:"passing"`  // lines for the configuration of a web server
	Service      []string      `json:"service"`  // commands that let the service do its work, which -write does
	Prepared     []string      `json:"prepared"` // files that let it
	Back         string        `json:"back"`

	start string // the command that starts keypaird
}

// An Account is one that was found.
type Account struct {
	CA   string `json:"ca"`
	File string `json:"file"`
	URL  string `json:"url,omitempty"`
}

// A Certificate is one that was found.
type Certificate struct {
	Name     string    `json:"name"`
	Target   string    `json:"target"`
	CA       string    `json:"ca"`
	Names    []string  `json:"names"`
	NotAfter time.Time `json:"not_after,omitzero"`
	Due      time.Time `json:"due,omitzero"`
}

// Report returns what was planned. state is the state directory.
func (p *Plan) Report(state string, runners []Runner) *Report {
	r := &Report{
		Client: p.Tree.Client, Dir: p.Tree.Dir, Config: p.options.Config, Text: p.Text(), Accounts: []Account{}, Certificates: []Certificate{},
		Files: []string{}, Faults: append([]trees.Note{}, p.Tree.Faults...), NotCarried: append([]trees.Note{}, p.Notes...),
		Runners: append([]Runner{}, runners...), Paths: []string{}, Back: p.Tree.Back,
		Passing: append([]string{}, p.passing...), Service: []string{}, Prepared: []string{}, Taken: Taken{[]string{}, []string{}},
	}
	for _, s := range p.secrets {
		r.Files = append(r.Files, s.path)
	}
	for _, c := range p.cas {
		if c.account != nil {
			r.Accounts = append(r.Accounts, Account{c.name, c.account.File, c.account.URL})
		}
	}
	for _, t := range p.targets {
		c := Certificate{Name: t.Name, Target: t.name, CA: t.ca.name, Names: t.Certificate.Names()}
		if t.Pair != nil {
			c.NotAfter, c.Due = t.Pair.Leaf.NotAfter.UTC(), lifetime.Due(t.Pair.Leaf).UTC()
		}
		r.Certificates = append(r.Certificates, c)
		if len(t.deploys) == 0 && p.Tree.Client != "caddy" { // its user cannot read there
			r.Paths = append(r.Paths, fmt.Sprintf("%s: point the server at %s/fullchain.pem and privkey.pem", t.name, live(state, t.name)))
		}
	}
	for _, d := range p.deploys {
		files := slices.DeleteFunc(filesOf(d.place), func(s string) bool { return s == "" })
		if line := "servers go on reading " + strings.Join(files, " "); !slices.Contains(r.Paths, line) {
			r.Paths = append(r.Paths, line)
		}
	}
	return r
}

const width = 100

// WriteText writes the report for people.
func (r *Report) WriteText(out io.Writer) error { return r.WriteWidth(out, width) }

// WriteWidth writes the report for people at a terminal of so many columns.
func (r *Report) WriteWidth(out io.Writer, columns int) error {
	w := &textfmt.Writer{Width: min(columns, width)}
	n := len(r.Certificates)
	w.Line(0, "%s in %s: %d %s, %d %s", r.Client, r.Dir, n, textfmt.Plural(n, "certificate", "certificates"),
		len(r.Accounts), textfmt.Plural(len(r.Accounts), "account", "accounts"))
	for _, a := range r.Accounts {
		w.Item(fmt.Sprintf("  account %s: ", a.CA), a.File+strings.TrimSuffix(" "+a.URL, " "))
	}
	for _, c := range r.Certificates {
		until := "none yet"
		if !c.NotAfter.IsZero() {
			until = "until " + c.NotAfter.Format(time.DateOnly) + ", order due " + c.Due.Format(time.DateOnly)
		}
		w.Item(fmt.Sprintf("  certificate %s: ", c.Target), strings.Join(c.Names, " ")+" ("+until+")")
	}
	w.Blank()
	verb := "import -write writes"
	if r.Written {
		verb = "written to"
	}
	w.Line(0, "%s %s:", verb, r.Config)
	w.Verbatim(4, r.Text)
	w.List("Files with secrets beside it:", r.Files)
	notes(w, "Faults: nothing is taken over until they are corrected or left out", r.Faults)
	notes(w, "Not carried over, or to be known", r.NotCarried)
	r.writeRunners(w)
	w.List("Paths of servers:", r.Paths)
	if len(r.Passing) > 0 {
		w.Blank()
		w.Line(0, "So that challenges reach keypaird, add this to the configuration of the web server, and reload it:")
		w.Verbatim(4, strings.ReplaceAll(strings.Join(r.Passing, "\n"), "\t", "    "))
	}
	if len(r.Service) > 0 {
		w.Blank()
		w.Line(0, "The service may not do what it has to yet. import -write, as root, lets it, as this would:")
		w.Verbatim(4, "# "+strings.Join(r.Service, "\n# "))
	}
	w.List("Written for the service:", r.Prepared)
	w.List("To go back:", []string{r.Back})
	if r.Written {
		w.List("Taken over:", []string{
			fmt.Sprintf("%d %s, known at the CA: %s", len(r.Taken.Accounts), textfmt.Plural(len(r.Taken.Accounts), "account", "accounts"), strings.Join(r.Taken.Accounts, " ")),
			fmt.Sprintf("%d %s: %s", len(r.Taken.Pairs), textfmt.Plural(len(r.Taken.Pairs), "pair", "pairs"), strings.Join(r.Taken.Pairs, " ")),
			"next: keypaird check -live, then start keypaird: " + r.start,
		})
	}
	if next := "the same command with -write -disable"; !r.Written && len(r.Faults) == 0 {
		if len(r.Passing) > 0 {
			next = "add the lines to the configuration of the web server and reload it, then " + next
		}
		w.Blank()
		w.Line(0, "Next: %s", next)
	}
	_, err := io.WriteString(out, w.String())
	return err
}

// writeRunners writes what runs the other client.
func (r *Report) writeRunners(w *textfmt.Writer) {
	var runs []string
	for _, runner := range r.Runners {
		state := runner.Disable
		if runner.Disabled {
			state = "disabled; to go back: " + runner.Enable
		}
		where := runner.Where
		if runner.Line > 0 {
			where += fmt.Sprintf(":%d", runner.Line)
		}
		runs = append(runs, runner.Kind+" "+where+": "+state)
	}
	switch still := slices.ContainsFunc(r.Runners, func(r Runner) bool { return !r.Disabled }); {
	case len(runs) == 0 && clientWords[r.Client] != nil:
		runs = append(runs, "nothing was found in systemd's timers and cron: turn it off where it is run")
		w.List("What runs "+r.Client+":", runs)
	case r.Written && still:
		w.List(r.Client+" is still run, and would renew, too; turn it off: keypaird import -disable", runs)
	default:
		w.List("What runs "+r.Client+" (import -disable turns it off):", runs)
	}
}

// notes writes a list of notes, each with its remedy.
func notes(w *textfmt.Writer, title string, list []trees.Note) {
	if len(list) == 0 {
		return
	}
	w.Blank()
	w.Line(0, "%s:", title)
	for _, n := range list {
		w.Item("  - ", n.String())
		if n.Remedy != "" {
			w.Item("    remedy: ", n.Remedy)
		}
	}
}

func filesOf(p trees.Place) []string { f := p.Files(); return f[:] }
