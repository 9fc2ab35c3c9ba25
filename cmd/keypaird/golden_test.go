package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/diff"
)

// golden compares what programs and people rely on with testdata/golden/NAME.txt.
// The ending of NAME says how the files are written there: outlines of JSON
// documents, the names of metrics, or else the lines of a log.
func (s *story) golden(_ bool, args []string) {
	if len(args) < 2 {
		s.Fatalf("usage: golden NAME FILE...")
	}
	name, files := args[0], args[1:]
	var texts []string
	for _, file := range files {
		texts = append(texts, s.ReadFile(file))
	}
	var got string
	var err error
	switch filepath.Ext(name) {
	case ".json":
		got, err = outlineJSON(s.dir, texts)
	case ".metrics":
		got, err = outlineMetrics(texts)
	default:
		got = outlineLog(s.dir, files, texts)
	}
	s.Check(err)
	path := filepath.Join("testdata", "golden", name+".txt")
	if *update {
		s.Check(os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	s.Check(err)
	if d := diff.Diff(path, want, strings.Join(files, " "), []byte(got)); d != nil {
		s.Fatalf("%s\nif it is meant: go test -tags lean ./cmd/keypaird -run TestStories/golden -update", d)
	}
}

// placeholders stand for what differs from run to run, in the order in which
// they are put in.
var placeholders = []struct{ pattern, placeholder string }{
	{`\b20\d\d-\d\d-\d\d([T ]\d\d:\d\d(:\d\d)?(\.\d+)?( ?Z| UTC|[+-]\d\d:\d\d)?)?`, "TIME"},
	{`/my-account/[0-9a-f]+`, "/my-account/HEX"},
	{`\b[0-9a-f]{16,}\b`, "HEX"},
	{`\bconfinement=("[^"]*"|\w+)`, "confinement=KIND"},
	{`\b(Pebble [A-Z]\w+ CA) [0-9a-f]{6}\b`, "$1 HEX"},
	{`/my-order/[\w-]+`, "/my-order/TOKEN"},
	{`\b(\d+(\.\d+)?(ns|µs|ms|s|m|h))+\b`, "DURATION"},
	{`\b\d+ (second|minute|hour|day)s?\b`, "DURATION"},
	{`(\b127\.0\.0\.1|\[::1\]):\d+\b`, "$1:PORT"},
	{`\bprocess \d+\b`, "process PID"},
	{`\b(devel|go1\.\w+(\.\w+)*|v\d+\.\d+\.\d+-\d{14}-[0-9a-f]{12}(\+dirty)?)\b`, "VERSION"},
	{`^` + runtime.GOOS + `$`, "OS"},
	{`^` + runtime.GOARCH + `$`, "ARCH"},
}

var placeholderPatterns = func() (list []*regexp.Regexp) {
	for _, p := range placeholders {
		list = append(list, regexp.MustCompile(p.pattern))
	}
	return list
}()

// normalise puts placeholders in. dir is the directory of the story.
func normalise(dir, text string) string {
	text = strings.ReplaceAll(text, dir, "WORK")
	for i, p := range placeholderPatterns {
		text = p.ReplaceAllString(text, placeholders[i].placeholder)
	}
	return text
}

func TestNormalise(t *testing.T) {
	for text, want := range map[string]string{
		`time=2026-11-29T07:57:06.000Z level=INFO`:             `time=TIME level=INFO`,
		`valid until 2027-02-27 07:57:06 UTC, not later`:       `valid until TIME, not later`,
		`since 2026-11-29T07:57:06+01:00, 2026-11-29`:          `since TIME, TIME`,
		`took=1.204ms took=1h3m took=2m0.5s`:                   `took=DURATION took=DURATION took=DURATION`,
		`59 minutes left, 1 day ago`:                           `DURATION left, DURATION ago`,
		`fingerprint=e2c01722273ad9e6 by e2c01722`:             `fingerprint=HEX by e2c01722`,
		`"Pebble Intermediate CA 4346f4"`:                      `"Pebble Intermediate CA HEX"`,
		`/my-order/-Xg2OCOn6m2gp9YTWvmGTKOmEW8GpcC1TIVtPVU_4X`: `/my-order/TOKEN`,
		`https://127.0.0.1:44345/dir [::1]:80 a.example:443`:   `https://127.0.0.1:PORT/dir [::1]:PORT a.example:443`,
		`/tmp/story/state/certs/v000001`:                       `WORK/state/certs/v000001`,
		`confinement="Landlock, version 7" a=b`:                `confinement=KIND a=b`,
		`/my-account/8dd981a8b39b53a`:                          `/my-account/HEX`,
		`process 4711 since`:                                   `process PID since`,
		`go1.26.8`:                                             `VERSION`,
		`devel`:                                                `VERSION`,
		`v0.0.0-20261130011500-132b97b6a3e7`:                   `VERSION`,
		runtime.GOOS:                                           `OS`,
		`3 checks: 2 ok, 1 failed`:                             `3 checks: 2 ok, 1 failed`,
		`version=v000002 sha256 TLSA 3 1 1 port 5222`:          `version=v000002 sha256 TLSA 3 1 1 port 5222`,
	} {
		if got := normalise("/tmp/story", text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

// outlineJSON lists the keys of JSON documents, each once, with the values that
// they have anywhere in them.
func outlineJSON(dir string, texts []string) (string, error) {
	o := &outline{dir: dir}
	var docs []any
	for _, text := range texts {
		if i := strings.IndexAny(text, "{["); i > 0 {
			text = text[i:] // behind the status that fetch prints
		}
		var doc any
		if err := json.Unmarshal([]byte(text), &doc); err != nil {
			return "", err
		}
		docs = append(docs, doc)
	}
	o.add("", "", docs)
	return o.text.String(), nil
}

type outline struct {
	dir  string
	text strings.Builder
}

// manyValues is how many a key may have and all of them be listed.
const manyValues = 12

// add writes what is at one key of all documents.
func (o *outline) add(indent, key string, values []any) {
	members, elements, scalars := map[string][]any{}, []any{}, map[string]bool{}
	for _, v := range values {
		switch v := v.(type) {
		case map[string]any:
			for k, m := range v {
				members[k] = append(members[k], m)
			}
		case []any:
			key = strings.TrimSuffix(key, "[]") + "[]"
			elements = append(elements, v...)
		case float64:
			scalars["NUMBER"] = true
		default:
			value := normalise(o.dir, fmt.Sprint(v))
			scalars[strings.ReplaceAll(value, "\n", `\n`)] = true
		}
	}
	if len(elements) > 0 {
		o.add(indent, key, elements)
		return
	}
	list := slices.Sorted(maps.Keys(scalars))
	if len(list) > manyValues {
		list = []string{"VARIOUS"}
	}
	lines := strings.Join(list, "\n"+indent+"\t| ")
	if key != "" {
		fmt.Fprintln(&o.text, strings.TrimRight(indent+key+": "+lines, ": "))
		indent += "\t"
	}
	for _, k := range slices.Sorted(maps.Keys(members)) {
		o.add(indent, k, members[k])
	}
}

var sample = regexp.MustCompile(`^([a-z_]+?)(_bucket|_sum|_count)?(\{.*\})? `)
var label = regexp.MustCompile(`([a-z_]+)="(?:[^"\\]|\\.)*"`)

// outlineMetrics lists name, labels, type and help of the metrics of our own.
func outlineMetrics(texts []string) (string, error) {
	types, labels := map[string]string{}, map[string][]string{}
	helps := map[string]string{}
	for line := range strings.Lines(strings.Join(texts, "\n")) {
		line = strings.TrimSpace(line)
		word := strings.SplitN(line, " ", 4)
		switch m := sample.FindStringSubmatch(line); {
		case len(word) == 4 && word[1] == "HELP":
			helps[word[2]] = word[3]
		case len(word) == 4 && word[1] == "TYPE":
			types[word[2]] = word[3]
		case m != nil:
			name := m[1]
			if types[name] == "" {
				name += m[2]
			}
			if types[name] == "" {
				return "", fmt.Errorf("metric of no type: %s", line)
			}
			for _, l := range label.FindAllStringSubmatch(m[3], -1) {
				if !slices.Contains(labels[name], l[1]) && l[1] != "le" {
					labels[name] = append(labels[name], l[1])
				}
			}
		}
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(types)) {
		if !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") {
			fmt.Fprintf(&b, "%s{%s} %s: %s\n", name, strings.Join(labels[name], ","), types[name], helps[name])
		}
	}
	return b.String(), nil
}

// outlineLog lists the lines of several logs, each line once.
func outlineLog(dir string, files, texts []string) string {
	var b strings.Builder
	seen := map[string]bool{}
	for i, text := range texts {
		fmt.Fprintf(&b, "# %s\n", files[i])
		for line := range strings.Lines(text) {
			line = normalise(dir, line)
			if event := strings.TrimPrefix(line, "time=TIME "); !seen[event] {
				seen[event] = true
				b.WriteString(line)
			}
		}
	}
	return b.String()
}

// TestScriptWords holds the table of commands in the README of the scripts to
// those that there are.
func TestScriptWords(t *testing.T) {
	text, err := os.ReadFile("testdata/script/README.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(string(text), -1) {
		documented = append(documented, m[1])
	}
	commands := slices.Concat(slices.Sorted(maps.Keys(scriptCommands())), slices.Sorted(maps.Keys(programs())))
	if !slices.Equal(documented, commands) {
		t.Errorf("the README has rows for\n%v, and these are the commands\n%v", documented, commands)
	}
}
