package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

// A reader turns the text of a configuration into a Config and collects every
// mistake on the way. The TOML library stops at the first value of a wrong type
// and passes over unknown keys, so the values are taken over one by one.
type reader struct {
	file           string
	text           string
	values         map[string]any // as decoded
	mistakes       Mistakes
	mistakePaths   []path // of the mistakes
	undecodedPaths []path // of values that could not be taken over

	// For the lines of mistakes; owned by undecoded.
	meta   toml.MetaData
	keys   []toml.Key
	tables map[string]map[string]toml.Primitive
}

// parse reads the text. What follows a syntax error cannot be read, so it is
// the only mistake then.
func (r *reader) parse() bool {
	r.text = strings.TrimPrefix(r.text, byteOrderMark)
	if at := invalidByte(r.text); at >= 0 {
		r.syntaxMistake(at, "", "not text in UTF-8, or a control character", "save the file as plain text in UTF-8")
		return false
	}
	if strings.Count(r.text, "[")+strings.Count(r.text, "{") > maxBrackets {
		r.syntaxMistake(0, "", "more brackets than any configuration has", "see that it is the configuration of keypaird")
		return false
	}
	_, err := toml.Decode(r.text, &r.values)
	if err == nil {
		return true
	}
	var at toml.ParseError
	errors.As(err, &at)
	key, problem, remedy := explain(at)
	r.syntaxMistake(at.Position.Start, key, problem, remedy)
	return false
}

// syntaxMistake notes a mistake at an offset.
func (r *reader) syntaxMistake(offset int, key, problem, remedy string) {
	last := len(strings.TrimRight(r.text, "\r\n \t")) // the end of the file is a line that nobody sees
	r.mistakes = append(r.mistakes, Mistake{
		File: Printable(r.file, maxMessage), Line: r.lineAt(min(offset, last)),
		Key: Printable(key, maxShown), Problem: problem, Remedy: remedy,
	})
}

// report records a mistake at p, unless the value there could not be decoded:
// that has been reported.
func (r *reader) report(p path, remedy, problem string, args ...any) {
	if slices.ContainsFunc(r.undecodedPaths, p.isUnder) {
		return
	}
	for i, arg := range args {
		if s, ok := arg.(string); ok {
			args[i] = cut(s, maxShown)
		}
	}
	r.mistakePaths = append(r.mistakePaths, p)
	r.mistakes = append(r.mistakes, Mistake{
		File: Printable(r.file, maxMessage), Line: r.line(p), Key: p.String(),
		Problem: Printable(fmt.Sprintf(problem, args...), maxMessage), Remedy: Printable(remedy, maxMessage),
	})
}

// reportUndecoded records that the value at p cannot be decoded. Mistakes that
// would follow from its absence are then not reported.
func (r *reader) reportUndecoded(p path, remedy, problem string, args ...any) {
	r.report(p, remedy, problem, args...)
	r.undecodedPaths = append(r.undecodedPaths, p)
}

// reportedUnder reports whether there is a mistake at p or below.
func (r *reader) reportedUnder(p path) bool {
	return slices.ContainsFunc(r.mistakePaths, func(place path) bool { return place.isUnder(p) })
}

// isSet reports whether the file has a value at p.
func (r *reader) isSet(p path) bool {
	var v any = r.values
	for _, key := range p {
		table, ok := v.(map[string]any)
		if !ok {
			return false
		}
		if v, ok = table[key]; !ok {
			return false
		}
	}
	return true
}

// inFileOrder returns two places in the order of the file.
func (r *reader) inFileOrder(a, b path) (first, second path) {
	if r.line(b) < r.line(a) {
		return b, a
	}
	return a, b
}

// line returns the line of p, or of what holds it, or 0.
func (r *reader) line(p path) int {
	for ; len(p) > 0; p = p[:len(p)-1] {
		if n := r.lineOf(p); n > 0 {
			return n
		}
		if !r.isSet(p) {
			continue
		}
		for _, key := range r.keys { // [a.b] begins the table a as well
			if path(key).isUnder(p) && r.lineOf(path(key)) > 0 {
				return r.lineOf(path(key))
			}
		}
	}
	return 0
}

// errHere makes the TOML library say where a value is: a decoder that fails is
// reported with its place.
var errHere = errors.New("here")

type placeProbe struct{}

// UnmarshalTOML implements toml.Unmarshaler.
func (*placeProbe) UnmarshalTOML(any) error { return errHere }

// lineOf returns the line on which the value at p begins, or 0.
func (r *reader) lineOf(p path) int {
	value, ok := r.undecoded(p[:len(p)-1])[p[len(p)-1]]
	if !ok {
		return 0
	}
	var at toml.ParseError
	if !errors.As(r.meta.PrimitiveDecode(value, new(placeProbe)), &at) || at.Position.Line == 0 {
		return 0
	}
	return r.lineAt(at.Position.Start)
}

// lineAt returns the line of an offset in the text.
func (r *reader) lineAt(offset int) int {
	return 1 + strings.Count(r.text[:min(max(offset, 0), len(r.text))], "\n")
}

// undecoded returns the table at p as the library keeps it, with places.
func (r *reader) undecoded(p path) map[string]toml.Primitive {
	id := toml.Key(p).String()
	table, ok := r.tables[id]
	if ok {
		return table
	}
	if len(p) == 0 {
		r.tables = map[string]map[string]toml.Primitive{}
		r.meta, _ = toml.Decode(r.text, &table) // has been decoded before
		r.keys = r.meta.Keys()
	} else if value, ok := r.undecoded(p[:len(p)-1])[p[len(p)-1]]; ok {
		if r.meta.PrimitiveDecode(value, &table) != nil {
			table = nil // not a table
		}
	}
	r.tables[id] = table
	return table
}

const byteOrderMark = "\ufeff"

// maxBrackets keeps lists in lists in lists from overflowing the stack of the
// TOML library, which nothing could recover from.
const maxBrackets = 1_000_000

// invalidByte returns the offset of the first byte that no TOML file has, or -1.
func invalidByte(text string) int {
	for i, c := range text {
		switch {
		case c == utf8.RuneError && !strings.HasPrefix(text[i:], string(utf8.RuneError)):
			return i
		case c == '\r' && strings.HasPrefix(text[i:], "\r\n"), c == '\n', c == '\t':
		case c < ' ', c == 0x7f:
			return i
		}
	}
	return -1
}

// explain says what an error of the TOML library means.
func explain(err toml.ParseError) (key, problem, remedy string) {
	if m := definedTwice.FindStringSubmatch(err.Message); m != nil {
		return m[1], "stands twice in the file", "write it once"
	}
	for _, e := range syntaxErrors {
		switch {
		case !strings.Contains(err.Message, e.like):
		case e.value:
			return err.LastKey, e.problem, e.remedy
		default:
			return "", e.problem, e.remedy
		}
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
	{"escape", true, noEscape, literal},
	{"hexadecimal digits after", true, noEscape, literal},
	{"is not valid UTF-8", true, noEscape, literal},
	{"out of range", true, "a number that is too large", plainText},
	{"datetime", true, "a date that is not TOML", plainText},
	{"nteger", true, noNumber, plainText},
	{"float", true, noNumber, plainText},
	{"digit", true, noNumber, plainText},
	{"number", true, noNumber, plainText},
}

const (
	plainKey  = `write key = "text"`
	plainText = `put text in plain double quotes: key = "text"`
	noNumber  = "a number that is not TOML"
	noEscape  = `a \ that TOML does not know in "double quotes"`
	literal   = `write \\, or put the text in 'single quotes'`
)

var definedTwice = regexp.MustCompile(`^Key '(.*)' (?:has already been defined|was already created)`)
