package config

import (
	"errors"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

const byteOrderMark = "\ufeff"

// maxBrackets keeps lists in lists in lists from overflowing the stack of the
// TOML library, which nothing could recover from.
const maxBrackets = 1_000_000

// parse reads the text. What follows a syntax error cannot be judged, so it is
// the only mistake then.
func (r *reader) parse() bool {
	r.text = strings.TrimPrefix(r.text, byteOrderMark)
	if at := strayByte(r.text); at >= 0 {
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

// strayByte returns the offset of the first byte that no TOML file has, or -1.
func strayByte(text string) int {
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
	{"unexpected '.'", false, "a dot too many", `put names with dots in quotes: "example.org"`},
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
