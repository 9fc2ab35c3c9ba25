package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// mdocWidth is how long lines of the pages are, which mdoc(7) wants below 80.
const mdocWidth = 78

// mdocText writes plain text in mdoc: each sentence begins a line, and paragraphs, which
// empty lines separate, are told apart.
func mdocText(text string) string {
	var lines []string
	for i, paragraph := range regexp.MustCompile(`\n\s*\n`).Split(strings.TrimSpace(text), -1) {
		if i > 0 {
			lines = append(lines, ".Pp")
		}
		line := ""
		for word := range strings.FieldsSeq(strings.ReplaceAll(paragraph, `\`, `\e`)) {
			if strings.HasPrefix(strings.TrimLeft(word, `"([`), "-") || strings.Contains(word, "/") { // is not broken at a hyphen
				word = strings.ReplaceAll(word, "-", `\-`)
			}
			switch {
			case line == "":
				line = word
			case len(line)+1+len(word) > mdocWidth, endOfSentence.MatchString(line):
				lines = append(lines, line)
				line = word
			default:
				line += " " + word
			}
		}
		lines = append(lines, line)
	}
	for i, line := range lines {
		if line != ".Pp" && strings.ContainsAny(line[:1], ".'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

var endOfSentence = regexp.MustCompile(`[^ ][.?!][")\]]*$`)

// sentence returns words with a capital and a full stop.
func sentence(s string) string {
	return strings.TrimSuffix(sentenceCase(s), ".") + "."
}

func sentenceCase(s string) string {
	first, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(first)) + s[size:]
}

// mdocList writes names with commas between.
func mdocList(names []string) string {
	var b strings.Builder
	for i, name := range names {
		switch {
		case i < len(names)-2:
			b.WriteString(".Cm " + name + " ,\n")
		case i == len(names)-2:
			b.WriteString(".Cm " + name + "\nand\n")
		default:
			b.WriteString(".Cm " + name + " .\n")
		}
	}
	return b.String()
}

// fileText has what config.go says of the whole file.
func fileText(t *testing.T) string {
	t.Helper()
	_, text := readTables(t)["Config"].about()
	return mdocText(text)
}

// keysText has each key of the configuration with what config.go says of it.
func keysText(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	writeTable(&b, readTables(t), "Config", ".Ss Before the first table\n")
	return b.String()
}

// A table is the type of a table of the configuration.
type table struct {
	doc  string
	body *ast.StructType
}

// readTables returns the types of config.go.
func readTables(t *testing.T) map[string]table {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "config/config.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	tables := map[string]table{}
	for _, d := range file.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.TYPE {
			spec := g.Specs[0].(*ast.TypeSpec)
			if body, ok := spec.Type.(*ast.StructType); ok && spec.Name.Name != "Duration" {
				tables[spec.Name.Name] = table{g.Doc.Text(), body}
				if title, _ := tables[spec.Name.Name].about(); title == "" {
					t.Errorf("the comment of %s does not begin as those of other tables", spec.Name.Name)
				}
			}
		}
	}
	return tables
}

// aboutTable matches how the comments of tables begin, and what is the heading of it.
var aboutTable = regexp.MustCompile(`^\w+ is (?:an? |the |one )?(\[\S+\]|external of a \[cert\]|tls of \[fleet\]|item of verify|configuration file, and its manual)(?: table)?[.:,]\s*`)

// about returns a heading, and the text below it.
func (tab table) about() (title, text string) {
	m := aboutTable.FindStringSubmatch(tab.doc)
	if m == nil {
		return "", ""
	}
	if text = strings.TrimSpace(strings.TrimPrefix(tab.doc, m[0])); text != "" {
		text = sentence(text)
	}
	return sentenceCase(m[1]), text
}

// writeTable writes the keys of a table, and the tables in it.
func writeTable(b *strings.Builder, tables map[string]table, name, heading string) {
	b.WriteString(heading + ".Bl -tag -width Ds\n")
	fields := tables[name].body.Fields.List
	var inner []string
	for i, f := range fields {
		typeName, kind := fieldKind(f.Type)
		if _, ok := tables[typeName]; ok {
			inner = append(inner, typeName)
			if name == "Config" {
				continue
			}
		}
		fmt.Fprintf(b, ".It Ic %s Pq %s\n", tomlKey(f), kind)
		// One comment may be about several keys: they follow it without an empty line.
		last := i+1 == len(fields) || fieldText(fields[i+1]) != "" || fieldText(f) != "" && name == "Config"
		for j := i; j >= 0 && last; j-- {
			if text := fieldText(fields[j]); text != "" {
				b.WriteString(mdocText(sentence(text)))
				break
			}
		}
	}
	b.WriteString(".El\n")
	for _, typeName := range inner {
		title, text := tables[typeName].about()
		heading := ".Ss " + title + "\\&\n" // which keeps ] from ending a sentence
		if text != "" {
			heading += mdocText(text)
		}
		writeTable(b, tables, typeName, heading)
	}
}

func tomlKey(f *ast.Field) string {
	tag, _ := strconv.Unquote(f.Tag.Value)
	return reflect.StructTag(tag).Get("toml")
}

func fieldText(f *ast.Field) string {
	return strings.TrimSpace(f.Doc.Text() + f.Comment.Text())
}

// fieldKind returns the name of a field's type, and what an operator calls it.
func fieldKind(e ast.Expr) (typeName, kind string) {
	switch e := e.(type) {
	case *ast.StarExpr:
		return fieldKind(e.X)
	case *ast.ArrayType:
		typeName, kind = fieldKind(e.Elt)
		if kind == "table" {
			return typeName, "list of strings and tables"
		}
		return typeName, "list of " + kind + "s"
	case *ast.MapType:
		typeName, kind = fieldKind(e.Value)
		return typeName, "table of " + kind + "s"
	case *ast.Ident:
		kinds := map[string]string{"string": "string", "bool": "boolean", "int": "integer", "Duration": "duration", "Pause": "duration"}
		return e.Name, cmp.Or(kinds[e.Name], "table")
	}
	return "", "?"
}

// A metric is one that the daemon exports.
type metric struct {
	kind, help string
	labels     []string
}

// metricsInSource finds the metrics that a package makes: by the calls of its functions
// that take name, help and labels, and in the options of Prometheus' client.
func metricsInSource(t *testing.T, dir string) map[string]metric {
	t.Helper()
	kinds := map[string]string{"vec": "gauge", "instant": "gauge", "count": "counter", "counts": "counter", "spans": "histogram",
		"GaugeOpts": "gauge", "CounterOpts": "counter", "HistogramOpts": "histogram"}
	all := map[string]metric{}
	for _, name := range sourceFiles(t, dir) {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			var words []string
			var of ast.Expr
			switch n := n.(type) {
			case *ast.CallExpr:
				of, words = n.Fun, literals(n.Args...)
			case *ast.CompositeLit:
				of = n.Type
				for _, e := range n.Elts {
					if kv, ok := e.(*ast.KeyValueExpr); ok {
						words = append(words, literals(kv.Value)...)
					}
				}
			}
			if kind := kinds[lastName(of)]; kind != "" && len(words) >= 2 {
				all["keypaird_"+words[0]] = metric{kind, words[1], words[2:]}
			}
			return true
		})
	}
	return all
}

// lastName returns the name behind the dot.
func lastName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

// literals returns the strings among expressions; of a sum the last part.
func literals(list ...ast.Expr) (words []string) {
	for _, e := range list {
		if sum, ok := e.(*ast.BinaryExpr); ok {
			e = sum.Y
		}
		if l, ok := e.(*ast.BasicLit); ok && l.Kind == token.STRING {
			word, _ := strconv.Unquote(l.Value)
			words = append(words, word)
		}
	}
	return words
}
