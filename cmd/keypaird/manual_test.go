package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/diff"

	cas "keypaird/acme/authority"
	"keypaird/acme/dns01/need"
	"keypaird/cmd/keypaird/cli"
	"keypaird/cmd/keypaird/config"
	"keypaird/hooks/preset"
	"keypaird/hooks/probe"
	"keypaird/renew/status"
	"keypaird/renew/testutil"
)

// The manual pages are written by hand, but for what the program says itself: commands
// and options, the keys of the configuration, CAs, presets and metrics. TestManual
// compares that part with the program, and writes it with -update.
const manualUpdate = "go test -tags lean ./cmd/keypaird -run 'TestManual|TestCompletion' -args -update"

func manualPages(t *testing.T) []string {
	t.Helper()
	pages, err := filepath.Glob("../keypaird*/*.[1-9]")
	if err != nil || len(pages) < 4 {
		t.Fatal(pages, err)
	}
	return pages
}

func TestManual(t *testing.T) {
	page := readText(t, "keypaird.8")
	want := replaceRegion(t, page, "synopsis", synopsisText())
	want = replaceRegion(t, want, "commands", commandsText(t, region(t, page, "commands")))
	want = replaceRegion(t, want, "metrics", metricsText(t))
	compareText(t, "keypaird.8", want)

	want = replaceRegion(t, readText(t, "keypaird.toml.5"), "file", fileText(t))
	want = replaceRegion(t, want, "keys", keysText(t))
	want = replaceRegion(t, want, "cas", authoritiesText())
	want = replaceRegion(t, want, "presets", mdocList(preset.Names()))
	compareText(t, "keypaird.toml.5", want)
}

// What the pages say by hand names all that there is, and nothing else.
func TestManualNames(t *testing.T) {
	variable := regexp.MustCompile(`\bKEYPAIRD_[A-Z_]+\b`)
	event := regexp.MustCompile(`set\("([A-Z_]+)"`).FindAllStringSubmatch(readText(t, "../../hooks/command/event.go"), -1)
	var variables []string
	for _, m := range event {
		variables = append(variables, "KEYPAIRD_"+m[1])
	}
	kinds := regexp.MustCompile(`(?m)^\tEvent\w+ += "(\w+)"`).FindAllStringSubmatch(readText(t, "../../hooks/command/event.go"), -1)
	var events []string
	for _, m := range kinds {
		events = append(events, m[1])
	}
	hooks := readText(t, "keypaird-hooks.7")
	sameNames(t, "variables in keypaird-hooks.7", items(hooks, `\.It Ev (KEYPAIRD_\w+)`), variables)
	sameNames(t, "events in keypaird-hooks.7", items(hooks, `\.It Cm (\w+)`), events)
	sameNames(t, "protocols in keypaird.toml.5", items(readText(t, "keypaird.toml.5"), `\.It Cm ([a-z0-9-]+) Pq port`), probe.Protos())
	dns := readText(t, "../keypaird-dns/keypaird-dns.8")
	sameNames(t, "options in keypaird-dns.8", items(dns, `\.It Fl (\w+)`), items(readText(t, "../keypaird-dns/child/program.go"), `flags\.\w+\("(\w+)"`))
	page := readText(t, "keypaird.8")
	for _, file := range sourceFiles(t, ".") {
		for _, name := range items(readText(t, file), `[gG]etenv\("([A-Z_]+)"\)`) {
			if !slices.Contains(items(page, `^\.It Ev .*?\b(`+name+`)\b`), name) {
				t.Errorf("keypaird.8 does not name the variable %s, which %s reads", name, file)
			}
		}
	}
	states := regexp.MustCompile(`(?s)The state of a target is one of:.*?\.El`).FindString(page)
	sameNames(t, "states in keypaird.8", items(states, `\.It Cm (\w+)`), status.States())
	metrics := metricsInSource(t, "../../renew/status")
	known := append(variables, config.PathVariable, need.Unconfined)
	for _, file := range manualPages(t) {
		for _, name := range variable.FindAllString(readText(t, file), -1) {
			if !slices.Contains(known, name) {
				t.Errorf("%s: there is no variable %s", file, name)
			}
		}
		for _, name := range regexp.MustCompile(`\bkeypaird_[a-z_]+`).FindAllString(readText(t, file), -1) {
			if _, ok := metrics[name]; !ok {
				t.Errorf("%s: there is no metric %s", file, name)
			}
		}
	}
}

// sourceFiles returns the files of a package without its tests.
func sourceFiles(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(dir + "/*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	return slices.DeleteFunc(files, func(file string) bool { return strings.HasSuffix(file, "_test.go") })
}

// items are what the group of a pattern matches.
func items(text, pattern string) (list []string) {
	for _, m := range regexp.MustCompile(`(?m)`+pattern).FindAllStringSubmatch(text, -1) {
		list = append(list, m[1])
	}
	return list
}

// The usage of a command has all its options.
func TestUsageOptions(t *testing.T) {
	for _, c := range commands {
		for _, f := range commandFlags(t, c) {
			if !strings.Contains(c.Args, "OPTION") && !regexp.MustCompile(`-`+f.Name+`\b`).MatchString(c.Args) {
				t.Errorf("the usage of %s lacks -%s: %s", c.Name, f.Name, c.Args)
			}
		}
	}
}

func sameNames(t *testing.T, what string, got, want []string) {
	t.Helper()
	if got, want = slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want)); !slices.Equal(got, want) {
		t.Errorf("%s:\n%v, want\n%v", what, got, want)
	}
}

// mandoc finds nothing to complain of, and no line is wider than a terminal.
func TestManualLint(t *testing.T) {
	mandoc := testutil.Program(t, "mandoc")
	for _, file := range manualPages(t) {
		out, _ := exec.CommandContext(t.Context(), mandoc, "-T", "lint", "-W", "style", file).CombinedOutput()
		for line := range strings.Lines(string(out)) {
			// Other pages need not be installed.
			if !strings.Contains(line, "referenced manual not found") && !strings.Contains(line, "mandoc.db") {
				t.Error(strings.TrimSpace(line))
			}
		}
		out, err := exec.CommandContext(t.Context(), mandoc, "-T", "ascii", "-O", "width=78", file).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		for line := range strings.Lines(regexp.MustCompile(`.\x08`).ReplaceAllString(string(out), "")) {
			if line = strings.TrimRight(line, "\n"); len(line) > 80 {
				t.Errorf("%s: wider than 80 columns: %s", file, line)
			}
		}
	}
}

// The configurations that the pages show are accepted, once the files that they name
// are there.
func TestManualExamples(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, file := range manualPages(t) {
		for _, m := range regexp.MustCompile(`(?ms)^\.Bd -literal[^\n]*\n(.*?)^\.Ed$`).FindAllStringSubmatch(readText(t, file), -1) {
			text := strings.NewReplacer(`\e`, `\`, `\-`, `-`, `\(aq`, `'`, `\&`, ``).Replace(m[1])
			if !strings.Contains(text, "\n[identity.") && !strings.Contains(text, "\n[cert.") {
				continue
			}
			n++
			text = regexp.MustCompile(`/etc/keypaird/[a-z-]+`).ReplaceAllString(text, secret)
			path := filepath.Join(dir, "keypaird.toml")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := config.Load(config.Options{Path: path, Getenv: func(string) string { return "" }})
			if mistakes, ok := errors.AsType[config.Mistakes](err); ok || err != nil {
				t.Errorf("%s: %v %v\n%s", file, err, mistakes, text)
			}
		}
	}
	if n < 2 {
		t.Errorf("%d examples", n)
	}
}

// README is short, since the manual pages have the rest: its first configuration is
// verified, its commands exist, and its links lead somewhere.
func TestManualReadme(t *testing.T) {
	readme := readText(t, "../../README.md")
	if n := len(strings.Fields(readme)); n > 1300 {
		t.Errorf("README has %d words, more than 1300", n)
	}
	first := regexp.MustCompile("(?s)```toml\n(.*?)```").FindString(readme)
	if !strings.Contains(first, "\nverify ") {
		t.Errorf("the first configuration verifies nothing:\n%s", first)
	}
	used := items(readme, `(?:^[#$] |\x60)keypaird ([a-z]+)`)
	if len(used) == 0 || used[0] != "init" {
		t.Errorf("README does not begin with keypaird init: %v", used)
	}
	for _, name := range used {
		if !slices.ContainsFunc(commands, func(c command) bool { return c.Name == name }) {
			t.Errorf("README has a command %q", name)
		}
	}
	links := items(readme, `\]\(([^)#:]+)\)`)
	for _, page := range manualPages(t) {
		if link := strings.Replace(page, "../", "cmd/", 1); !slices.Contains(links, link) {
			t.Errorf("README does not lead to %s", link)
		}
	}
	for _, link := range links {
		if _, err := os.Stat("../../" + link); err != nil {
			t.Error(err)
		}
	}
}

func readText(t testing.TB, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// compareText fails unless the file has that text; with -update it is written.
func compareText(t *testing.T, file, want string) {
	t.Helper()
	got, err := os.ReadFile(file)
	if *update && (err != nil || string(got) != want) {
		err = os.WriteFile(file, []byte(want), 0o644)
		got = []byte(want)
	}
	if err != nil {
		t.Fatal(err)
	}
	if d := diff.Diff(file, got, "program", []byte(want)); d != nil {
		t.Errorf("%s\nto correct it: %s", d, manualUpdate)
	}
}

// region returns what stands between the comments that mark a region of a page.
func region(t *testing.T, page, name string) string {
	t.Helper()
	_, rest, ok := strings.Cut(page, ".\\\" "+name+": written by TestManual\n")
	text, _, ends := strings.Cut(rest, ".\\\" end of "+name+"\n")
	if !ok || !ends {
		t.Fatalf("the page has no region %q", name)
	}
	return text
}

func replaceRegion(t *testing.T, page, name, text string) string {
	t.Helper()
	marked := func(s string) string {
		return ".\\\" " + name + ": written by TestManual\n" + s + ".\\\" end of " + name + "\n"
	}
	return strings.Replace(page, marked(region(t, page, name)), marked(text), 1)
}

// commandFlags returns the flags of a command, as -h prints them.
func commandFlags(t testing.TB, c command) []*flag.Flag {
	t.Helper()
	e := &env{Env: cli.Env{Getenv: func(string) string { return "" }, Stdout: new(bytes.Buffer), Stderr: new(bytes.Buffer)}}
	e.SetFlags(c.Name, c.Usage())
	if err := c.run(t.Context(), e, []string{"-h"}); !errors.Is(err, flag.ErrHelp) {
		t.Fatalf("keypaird %s -h: %v", c.Name, err)
	}
	var flags []*flag.Flag
	e.Flags.VisitAll(func(f *flag.Flag) {
		if f.Name != "config" {
			flags = append(flags, f)
		}
	})
	return flags
}

// synopsisText has each command with its arguments.
func synopsisText() string {
	var b strings.Builder
	for _, c := range commands {
		fmt.Fprintf(&b, ".Nm\n.Op Fl config Ar file\n.Ic %s\n%s", c.Name, argumentsText(c.Args))
	}
	return b.String()
}

// argumentsText writes "[-force|-list] [NAME...]" in mdoc.
func argumentsText(args string) string {
	var b strings.Builder
	for _, part := range regexp.MustCompile(`\[[^]]*\](\.\.\.)?|\S+`).FindAllString(args, -1) {
		macro := "."
		if strings.HasPrefix(part, "[") {
			macro, part = ".Op ", strings.NewReplacer("[", "", "]", "").Replace(part)
		}
		var words []string
		for word := range strings.FieldsSeq(strings.ReplaceAll(part, "|", " | ")) {
			words = append(words, argumentText(word))
		}
		b.WriteString(macro + strings.Join(words, " ") + "\n")
	}
	return b.String()
}

func argumentText(word string) string {
	name, several := strings.CutSuffix(word, "...")
	switch {
	case word == "|":
		return word
	case strings.HasPrefix(name, "-"):
		name = "Fl " + name[1:]
	case name == strings.ToUpper(name):
		name = "Ar " + strings.ToLower(name)
	default:
		name = "Cm " + name
	}
	if several {
		name += " ..."
	}
	return name
}

// commandsText has each command with its options, and between them the text that the
// page has there, which is kept.
func commandsText(t *testing.T, page string) string {
	t.Helper()
	prose := map[string]string{}
	for _, m := range regexp.MustCompile(`(?ms)^\.\\" text of (\S+)\n(.*?)^\.\\" options\n`).FindAllStringSubmatch(page, -1) {
		prose[m[1]] = m[2]
	}
	var b strings.Builder
	for _, c := range commands {
		fmt.Fprintf(&b, ".It Xo\n.Ic %s\n%s.Xc\n%s.\\\" text of %s\n%s.\\\" options\n",
			c.Name, argumentsText(c.Args), mdocText(sentence(c.Does)), c.Name, prose[c.Name])
		delete(prose, c.Name)
		flags := commandFlags(t, c)
		if len(flags) > 0 {
			b.WriteString(".Bl -tag -width Ds\n")
		}
		for _, f := range flags {
			argument, usage := flag.UnquoteUsage(f)
			if argument != "" {
				argument = " Ar " + argument
			}
			fmt.Fprintf(&b, ".It Fl %s%s\n%s", f.Name, argument, mdocText(sentence(usage)))
		}
		if len(flags) > 0 {
			b.WriteString(".El\n")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(prose)) {
		t.Errorf("keypaird.8 has a text of %q, which is no command", name)
	}
	return b.String()
}

// authoritiesText has the CAs that need no table.
func authoritiesText() string {
	var b strings.Builder
	for _, name := range cas.BuiltInNames() {
		ca, _ := cas.BuiltIn(name)
		fmt.Fprintf(&b, ".It Cm %s\n.Lk %s .\n", name, ca.Directory)
		if ca.Test {
			b.WriteString(mdocText("For tests: clients do not trust its certificates."))
		}
		if ca.Staging != "" {
			fmt.Fprintf(&b, "Its twin for tests is\n.Cm %s .\n", ca.Staging)
		}
		if from := cas.ExternalAccount(name); from != "" {
			b.WriteString(mdocText("It requires an external account, from: " + from + "."))
		}
	}
	return b.String()
}

// metricsText has the metrics of the status page.
func metricsText(t *testing.T) string {
	t.Helper()
	all := metricsInSource(t, "../../renew/status")
	for _, m := range regexp.MustCompile(`(?m)^(keypaird_\w+)\{`).FindAllStringSubmatch(readText(t, "testdata/golden/keypaird.metrics.txt"), -1) {
		if _, ok := all[m[1]]; !ok {
			t.Errorf("metric %s was not found in the source", m[1])
		}
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(all)) {
		m := all[name]
		kind := m.kind
		if len(m.labels) > 0 {
			kind += " by " + strings.Join(m.labels, ", ")
		}
		fmt.Fprintf(&b, ".It Va %s\n%s", name, mdocText(sentence(kind)+" "+m.help))
	}
	return b.String()
}
