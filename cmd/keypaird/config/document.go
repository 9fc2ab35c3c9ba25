package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/BurntSushi/toml"
)

// A document is a configuration file as TOML: its text, its values and their
// places, and the mistakes found in it.
type document struct {
	file, text string
	meta       toml.MetaData
	tables     map[string]map[string]toml.Primitive // by path; filled by table

	mistakes       Mistakes
	mistakePaths   []path // of the mistakes
	undecodedPaths []path // of values that the Config lacks because of a mistake
}

// parse reads the text. What follows a syntax error cannot be read, so it is
// the only mistake then.
func (d *document) parse() bool {
	d.text = strings.TrimPrefix(d.text, byteOrderMark)
	plain := strings.ToValidUTF8(strings.ReplaceAll(d.text, "\r\n", " \n"), "\x00") // up to the first \x00 it is as long
	if at := strings.IndexFunc(plain, func(c rune) bool { return c < ' ' && c != '\n' && c != '\t' || c == 0x7f }); at >= 0 {
		d.syntaxMistake(at, "", "not text in UTF-8, or a control character", "save the file as plain text in UTF-8")
		return false
	}
	if strings.Count(d.text, "[")+strings.Count(d.text, "{") > maxBrackets {
		d.syntaxMistake(0, "", "more brackets than any configuration has", "see that it is the configuration of keypaird")
		return false
	}
	var top map[string]toml.Primitive
	var err error
	d.meta, err = toml.Decode(d.text, &top)
	if err != nil {
		at, _ := errors.AsType[toml.ParseError](err)
		key, problem, remedy := explain(at)
		d.syntaxMistake(at.Position.Start, key, problem, remedy)
	}
	d.tables = map[string]map[string]toml.Primitive{"": top}
	return err == nil
}

// syntaxMistake records a mistake at an offset.
func (d *document) syntaxMistake(offset int, key, problem, remedy string) {
	last := len(strings.TrimRight(d.text, "\r\n \t")) // the end of the file may be below the last line
	d.add(d.lineAt(min(offset, last)), Printable(key, maxShown), problem, remedy)
}

// report records a mistake at p, unless the value there could not be decoded:
// that has been reported.
func (d *document) report(p path, remedy, problem string, args ...any) {
	if slices.ContainsFunc(d.undecodedPaths, p.isUnder) {
		return
	}
	for i, arg := range args {
		if s, ok := arg.(string); ok {
			args[i] = cut(s, maxShown)
		}
	}
	d.mistakePaths = append(d.mistakePaths, p)
	d.add(d.line(p), p.String(), fmt.Sprintf(problem, args...), remedy)
}

// reportIf is report if something is wrong.
func (d *document) reportIf(wrong bool, p path, remedy, problem string, args ...any) {
	if wrong {
		d.report(p, remedy, problem, args...)
	}
}

// reportUndecoded records that the value at p cannot be decoded. Mistakes that
// would follow from its absence are then not reported.
func (d *document) reportUndecoded(p path, remedy, problem string, args ...any) {
	d.report(p, remedy, problem, args...)
	d.undecodedPaths = append(d.undecodedPaths, p)
}

func (d *document) add(line int, key, problem, remedy string) {
	d.mistakes = append(d.mistakes, Mistake{
		File: Printable(d.file, maxMessage), Line: line, Key: key,
		Problem: Printable(problem, maxMessage), Remedy: Printable(remedy, maxMessage),
	})
}

// reportedUnder reports whether there is a mistake at p or below.
func (d *document) reportedUnder(p path) bool {
	return slices.ContainsFunc(d.mistakePaths, func(place path) bool { return place.isUnder(p) })
}

// isSet reports whether the file has a value at p.
func (d *document) isSet(p path) bool { return d.meta.IsDefined(p...) }

// table returns the values of the table at p, or nil if none is there.
func (d *document) table(p path) map[string]toml.Primitive {
	id := toml.Key(p).String()
	table, known := d.tables[id]
	if !known && d.isSet(p) {
		d.meta.PrimitiveDecode(d.value(p), &table) // without an error, and nil, if it is not a table
		d.tables[id] = table
	}
	return table
}

// value returns the value at p, for PrimitiveDecode.
func (d *document) value(p path) toml.Primitive { return d.table(p[:len(p)-1])[p[len(p)-1]] }

// line returns the line of p, or of the table that holds it, or 0.
func (d *document) line(p path) int {
	for ; len(p) > 0; p = p[:len(p)-1] {
		if n := d.lineOf(p); n > 0 {
			return n
		}
		for _, key := range d.meta.Keys() { // [a.b] begins the table a as well
			if path(key).isUnder(p) && d.lineOf(path(key)) > 0 {
				return d.lineOf(path(key))
			}
		}
	}
	return 0
}

// errPosition is an error on purpose: the TOML library keeps the positions of
// values to itself, but adds one to the error of an Unmarshaler.
var errPosition = errors.New("position")

type position struct{}

// UnmarshalTOML implements toml.Unmarshaler.
func (*position) UnmarshalTOML(any) error { return errPosition }

// lineOf returns the line on which the value at p begins, or 0 if it has none of
// its own.
func (d *document) lineOf(p path) int {
	at, ok := errors.AsType[toml.ParseError](d.meta.PrimitiveDecode(d.value(p), new(position)))
	if !ok || at.Position.Line == 0 {
		return 0
	}
	return d.lineAt(at.Position.Start)
}

// lineAt returns the line of an offset in the text.
func (d *document) lineAt(offset int) int {
	return 1 + strings.Count(d.text[:min(max(offset, 0), len(d.text))], "\n")
}

// inFileOrder returns two places in the order of the file.
func (d *document) inFileOrder(a, b path) (first, second path) {
	if d.line(b) < d.line(a) {
		return b, a
	}
	return a, b
}

const byteOrderMark = "\ufeff"

// maxBrackets keeps lists in lists in lists from overflowing the stack of the
// TOML library, which nothing could recover from.
const maxBrackets = 1_000_000

// explain says what an error of the TOML library means.
func explain(err toml.ParseError) (key, problem, remedy string) {
	if m := definedTwice().FindStringSubmatch(err.Message); m != nil {
		return m[1], "stands twice in the file", "write it once"
	}
	for _, e := range syntaxErrors {
		if !slices.ContainsFunc(strings.Split(e.like, "|"), func(part string) bool { return strings.Contains(err.Message, part) }) {
			continue
		}
		if e.value {
			key = err.LastKey
		}
		return key, e.problem, e.remedy
	}
	return "", "not TOML", "see https://toml.io for what TOML looks like"
}

// syntaxErrors are the library's messages in the words of an operator. Its own
// repeat values, which may be secrets.
var syntaxErrors = []struct {
	like            string
	value           bool // of a key, which can be named
	problem, remedy string
}{
	{"key separator '='", false, "a key without a value", plainKey},
	{"unexpected EOF", true, "the file ends inside a string, list or table", "close what was opened with a quote, bracket or brace"},
	{"expected value", true, "a value that is not TOML", plainText},
	{"strings cannot contain newlines", true, "a string that does not end on its line", "close it with a quote"},
	{"leading zero", true, "a number that begins with 0", `put permissions in quotes: "0640"`},
	{"expected a top-level item to end", false, "something stands behind the value or table", "write one key a line, text in quotes, lists in [brackets], and # before a comment"},
	{"table names cannot be empty", false, "a table without a name", "write [table] or [table.name]"},
	{"to end table name", false, "a table name that is not TOML", `close it with ], and put names with other characters in quotes: [identity."example.org"]`},
	{"array name delimiter", false, "a table name that is not closed", "write [table], in single brackets"},
	{"'.' or '='", false, "neither a table nor a key with a value", plainKey + ", and # before a comment"},
	{"key name appears blank", false, "a value without a key", plainKey},
	{"keys cannot start with a '.'", false, "a key that begins with a dot", plainKey},
	{"unexpected '='", false, "a key without a name", plainKey},
	{"unexpected '.'", false, "an extra dot", `put names with dots in quotes: "example.org"`},
	{"comma", true, "a list or inline table with a comma missing or too many, or not closed", `write ["one", "two"] or { KEY = "one", OTHER = "two" }`},
	{"escape|hexadecimal digits after|is not valid UTF-8", true, "a \\ that TOML does not know in \"double quotes\"", "write \\\\, or put the text in 'single quotes'"},
	{"out of range", true, "a number that is too large", plainText},
	{"datetime", true, "a date that is not TOML", plainText},
	{"nteger|float|digit|number", true, "a number that is not TOML", plainText},
}

const (
	plainKey  = `write key = "text"`
	plainText = `put text in plain double quotes: key = "text"`
)

var definedTwice = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^Key '(.*)' (?:has already been defined|was already created)`)
})
