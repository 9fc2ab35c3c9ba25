package main

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/golden anew, for TestTree and the stories; the allowances there only shrink")

// What a package may have. Test files do not count.
const (
	packageFiles  = 15
	helperFiles   = 18 // of a package that only tests use
	packageLines  = 2500
	mainLines     = 900 // of cmd/keypaird, which is the command line alone
	circleFiles   = 6   // files each of which leads to every other by references
	functionLines = 60
)

// allowances is the file with what exceeds the limits, as lines of a measure, a
// package ("." for the whole tree) and a number. A number may shrink.
const allowances = "testdata/golden/allowances.txt"

// A folder is what the tree test knows of one package.
type folder struct {
	name   string // path below the module
	fset   *token.FileSet
	files  []*ast.File
	lines  int
	errors int // types with an Error method
	words  map[string]int
}

// TestTree holds every package to the limits above, and the whole tree to its
// count of private words and of error types. What is too much today may stay or
// shrink; -update takes the smaller numbers over.
func TestTree(t *testing.T) {
	allowed := readAllowances(t)
	found := map[string]int{}
	words := map[string]int{}
	for _, f := range tree(t) {
		files, lines := packageFiles, packageLines
		if f.helper() {
			files = helperFiles
		}
		if f.name == "cmd/keypaird" {
			lines = mainLines
		}
		exceeds := func(measure string, n, limit int) {
			if n > limit {
				found[measure+" "+f.name] = n
			}
		}
		exceeds("files", len(f.files), files)
		exceeds("lines", f.lines, lines)
		exceeds("circle", len(f.circle()), circleFiles)
		exceeds("function", f.longest(), functionLines)
		found["error-types ."] += f.errors
		if !f.helper() {
			for w, n := range f.words {
				words[w] += n
				found["private-words ."] += n
			}
		}
	}
	for what, n := range found {
		switch most := allowed[what]; {
		case n > most:
			t.Errorf("%s: %d, allowed are %d (%s)", what, n, most, allowances)
		case n < most:
			t.Logf("%s: %d, allowed are %d: go test -tags lean ./cmd/keypaird -run TestTree -args -update", what, n, most)
		}
	}
	if t.Failed() {
		t.Logf("private words: %v", words)
	}
	if *update {
		for what, n := range found {
			found[what] = min(n, allowed[what])
		}
		writeAllowances(t, found)
	}
}

func readAllowances(t *testing.T) map[string]int {
	t.Helper()
	text, err := os.ReadFile(allowances)
	if err != nil {
		t.Fatal(err)
	}
	allowed := map[string]int{}
	for line := range strings.Lines(string(text)) {
		var measure, name string
		var n int
		if _, err := fmt.Sscan(line, &measure, &name, &n); err != nil {
			t.Fatalf("%s: %q: %v", allowances, line, err)
		}
		allowed[measure+" "+name] = n
	}
	return allowed
}

func writeAllowances(t *testing.T, numbers map[string]int) {
	t.Helper()
	var b bytes.Buffer
	for _, what := range slices.Sorted(maps.Keys(numbers)) {
		fmt.Fprintln(&b, what, numbers[what])
	}
	if err := os.WriteFile(allowances, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// tree parses all packages of the module.
func tree(t *testing.T) []*folder {
	t.Helper()
	root := filepath.Join("..", "..")
	folders := map[string]*folder{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch base := filepath.Base(path); {
		case err != nil:
			return err
		case d.IsDir() && path != root && (base[0] == '.' || base == "testdata"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		name, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		if folders[name] == nil {
			folders[name] = &folder{name: filepath.ToSlash(name), fset: token.NewFileSet(), words: map[string]int{}}
		}
		return folders[name].add(path)
	})
	if err != nil {
		t.Fatal(err)
	}
	return slices.Collect(maps.Values(folders))
}

// add parses one file.
func (f *folder) add(path string) error {
	src, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	file, err := parser.ParseFile(f.fset, path, src, parser.ParseComments)
	if err != nil {
		return err
	}
	f.files = append(f.files, file)
	f.lines += bytes.Count(src, []byte("\n"))
	for _, fn := range functions(file) {
		if fn.Recv != nil && fn.Name.Name == "Error" && fn.Type.Params.NumFields() == 0 {
			f.errors++
		}
	}
	for _, w := range wordPattern.FindAllString(string(src), -1) {
		if w = strings.ToLower(w); privateWords[w] != "" {
			f.words[w]++
		}
	}
	return nil
}

// helper reports whether only tests use the package.
func (f *folder) helper() bool {
	return slices.Contains([]string{"acme/acmetest", "renew/leaktest", "hooks/servers"}, f.name)
}

func functions(file *ast.File) []*ast.FuncDecl {
	var fns []*ast.FuncDecl
	for _, d := range file.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil {
			fns = append(fns, fn)
		}
	}
	return fns
}

// longest returns the number of lines of the longest function.
func (f *folder) longest() int {
	most := 0
	for _, file := range f.files {
		for _, fn := range functions(file) {
			most = max(most, f.fset.Position(fn.End()).Line-f.fset.Position(fn.Pos()).Line+1)
		}
	}
	return most
}

// circle returns the largest set of files each of which leads to every other by
// references to functions, methods, fields, types, constants and variables.
func (f *folder) circle() []string {
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	conf := types.Config{Error: func(error) {}} // other packages stay unknown
	pkg, _ := conf.Check(f.name, f.fset, f.files, info)
	reach := map[string]map[string]bool{}
	for id, obj := range info.Uses {
		if obj.Pkg() != pkg || !obj.Pos().IsValid() || !shared(obj, pkg) {
			continue
		}
		from, to := f.fset.Position(id.Pos()).Filename, f.fset.Position(obj.Pos()).Filename
		if reach[from] == nil {
			reach[from] = map[string]bool{}
		}
		if from != to {
			reach[from][to] = true
		}
	}
	for via := range reach { // Warshall: all that can be reached in several steps
		for from := range reach {
			if reach[from][via] {
				maps.Copy(reach[from], reach[via])
			}
		}
	}
	var largest []string
	for a := range reach {
		var circle []string
		for b := range reach[a] {
			if reach[b][a] {
				circle = append(circle, b)
			}
		}
		if len(circle) > len(largest) {
			largest = circle
		}
	}
	return largest
}

// shared reports whether obj belongs to the package rather than to one function.
func shared(obj types.Object, pkg *types.Package) bool {
	if _, ok := obj.(*types.Func); ok {
		return true
	}
	v, ok := obj.(*types.Var)
	return ok && v.IsField() || obj.Parent() == pkg.Scope()
}

// wordPattern finds the words that names and text consist of.
var wordPattern = regexp.MustCompile(`[A-Z]?[a-z]+|[A-Z]+`)

// privateWords maps each word that stands where this field has a standard term
// to that term.
var privateWords = wordTable([][2]string{
	{"sight sights sighting sightings visit visits looker lookers viewer", "result, observation, answer; probe, query, load"},
	{"tell tells told teller cry crier hindered", "notify, notified, notifier"},
	{"mood", "mode"},
	{"manner", "DeploySpec, config_hash"},
	{"settle settled settles", "syncDir, forget, set; stable"},
	{"bought", "external"},
	{"proof proofs prover proven", "challenge, solver, authorization"},
	{"advice advise advised advises advisor advisors", "renewal information (RFC 9773)"},
	{"concern worry", "overdue"},
	{"wiring wired seams standing", "engine, adapters, targets"},
	{"keeper offer offers offered adopt outlook suspect suspects", "daemon, apply, summary, markFailing"},
	{"arrive arrived arrives arriving arrival arrivals", "rollout, activate"},
	{"retreat", "rollback"},
	{"polite stubborn hurry hasty hopeless doomed burial buried", "stopOnYield, failingAfter, minBackoffNearExpiry, killTimeout"},
	{"ledger purchase pay payer paid signing", "orderlog, reserve, event"},
	{"nonsense garbled", "protocolError, malformed"},
	{"elsewhere everyone shut", "TryNextCA, CAWide, failedCAs"},
	{"obituary dying forsake", "exitReason, exiting, abandon"},
	{"veil", "redactor"},
	{"errand door doors", "request, hostPort"},
	{"paper sheet card plea", "textWriter, pageData, targetView, message"},
	{"whose stranger strangers blind nowhere", "source, unrelated, ErrNoService, ErrNoEndpoints"},
	{"flaw flaws judge judged judges conclude grade", "issue, evaluate, summarize, severity"},
	{"misfit misfits stray writing writings", "missing, leftover, output"},
	{"announce announced former unwelcome harmony", "next key, retired, mismatch"},
	{"slip", "UsageError"},
})

func wordTable(rows [][2]string) map[string]string {
	table := map[string]string{}
	for _, row := range rows {
		for _, w := range strings.Fields(row[0]) {
			table[w] = row[1]
		}
	}
	return table
}

// The page of the straight line names types and functions that there are, and no more than
// a reader can keep in mind.
func TestStraightLine(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "CONTRIBUTING.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, page, _ := strings.Cut(string(text), "\nOne table becomes")
	page, _, _ = strings.Cut(page, "\n## ")
	page = regexp.MustCompile(`\([^)]*\)|\bin `+"`[a-z/]+`").ReplaceAllString(page, "")
	types, fns, found := strings.Cut(page, "The functions")
	if !found {
		t.Fatal("CONTRIBUTING.md has no such page")
	}
	known := map[string]bool{}
	for _, f := range tree(t) {
		for _, file := range f.files {
			for _, fn := range functions(file) {
				known[fn.Name.Name] = true
			}
			for name, obj := range file.Scope.Objects {
				known[file.Name.Name+"."+name] = obj.Kind == ast.Typ
			}
		}
	}
	for _, list := range []struct {
		page string
		most int
		name *regexp.Regexp
	}{
		{strings.ReplaceAll(types, "`config.Identity` or ", ""), 9, regexp.MustCompile("`([a-z]+\\.\\w+)`")},
		{fns, 70, regexp.MustCompile("`(?:\\w+\\.)*(\\w+)`")},
	} {
		names := list.name.FindAllStringSubmatch(list.page, -1)
		if len(names) > list.most || len(names) < list.most/2 {
			t.Errorf("%d names, want at most %d", len(names), list.most)
		}
		for _, n := range names {
			if !known[n[1]] {
				t.Errorf("CONTRIBUTING.md names %s, which is not in the tree", n[0])
			}
		}
		t.Log(len(names))
	}
}
