package tomltext

import (
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Explain says what a message of the TOML library means, and which key it is about, if
// that can be named. lastKey is the key that was read last.
func Explain(message, lastKey string) (key, problem, remedy string) {
	if m := definedTwice().FindStringSubmatch(message); m != nil {
		return m[1], "stands twice in the file", "write it once"
	}
	for _, e := range syntaxErrors {
		if !slices.ContainsFunc(strings.Split(e.like, "|"), func(part string) bool { return strings.Contains(message, part) }) {
			continue
		}
		if e.value {
			key = lastKey
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
