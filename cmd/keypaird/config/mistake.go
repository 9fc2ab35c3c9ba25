package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/BurntSushi/toml"

	"keypaird/renew/textfmt"
)

// A Mistake is one thing that is wrong with the configuration. No part of it
// repeats what may be a secret, or characters that a terminal obeys.
type Mistake struct {
	File    string
	Line    int    // from 1; 0 if the file as a whole is meant
	Key     string // as in TOML: identity."example.org".host; "" for the file
	Problem string // what is wrong, with the value
	Remedy  string // what would be right
}

// String returns place and problem in one line.
func (m Mistake) String() string {
	where := m.File
	if m.Line > 0 {
		where += ":" + strconv.Itoa(m.Line)
	}
	if m.Key != "" {
		where += ": " + m.Key
	}
	return where + ": " + m.Problem
}

// Mistakes are all that is wrong with the configuration, by line.
type Mistakes []Mistake

func (m Mistakes) Error() string {
	switch len(m) {
	case 1:
		return m[0].String()
	case 2:
		return m[0].String() + " (and another mistake)"
	}
	return fmt.Sprintf("%v (and %d more mistakes)", m[0], len(m)-1)
}

// Remedy is that of the first.
func (m Mistakes) Remedy() string { return m[0].Remedy }

// A path is the way to a value: table names and the key.
type path []string

// child returns the path of a key below p.
func (p path) child(key ...string) path { return append(slices.Clone(p), key...) }

// isUnder reports whether p is top or is below it.
func (p path) isUnder(top path) bool { return len(p) >= len(top) && slices.Equal(p[:len(top)], top) }

// String writes the path as TOML does.
func (p path) String() string { return Printable(toml.Key(p).String(), maxMessage) }

// TableHeader returns the header of a table as TOML writes it: [dns.ns].
func TableHeader(keys ...string) string { return "[" + path(keys).String() + "]" }

// Longest parts of a message, in characters. A DNS name has up to 253.
const (
	maxShown   = 256
	maxMessage = 1000
)

// cut returns s, or its beginning if it has more than n characters.
func cut(s string, n int) string {
	if len(s) > n && utf8.RuneCountInString(s) > n {
		return string([]rune(s)[:n]) + "..."
	}
	return s
}

// Printable returns s, cut to n characters, with invisible and control characters
// escaped as in Go strings.
func Printable(s string, n int) string {
	var b strings.Builder
	for _, c := range cut(s, n) {
		if unicode.IsPrint(c) {
			b.WriteRune(c)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRune(c), "'"))
		}
	}
	return b.String()
}

// suggest is the remedy for a word that is not known.
func suggest(word string, known []string) string {
	if near := textfmt.Nearest(word, known); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return "write one of: " + strings.Join(known, " ")
}
