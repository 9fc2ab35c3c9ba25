package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"

	"keypaird/cmd/keypaird/config/tomltext"
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

// Remedy returns the remedy of the first mistake.
func (m Mistakes) Remedy() string { return m[0].Remedy }

// A path is the way to a value: table names and the key.
type path []string

// child returns the path of a key below p.
func (p path) child(key ...string) path { return append(slices.Clone(p), key...) }

// isUnder reports whether p is top or is below it.
func (p path) isUnder(top path) bool { return len(p) >= len(top) && slices.Equal(p[:len(top)], top) }

// String writes the path as TOML does.
func (p path) String() string { return tomltext.Printable(toml.Key(p).String(), tomltext.MaxMessage) }

// maxShown is how much of a value a message repeats, in characters. A DNS name has up to 253.
const maxShown = 256

// suggest returns the remedy for a word that is not known.
func suggest(word string, known []string) string {
	if near := textfmt.Nearest(word, known); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return "write one of: " + strings.Join(known, " ")
}
