package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
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
	if near := Nearest(word, known); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return "write one of: " + strings.Join(known, " ")
}

// Nearest returns the known word that is most like a word, or "".
func Nearest(word string, known []string) string {
	if len(word) > 64 {
		return ""
	}
	known = slices.Sorted(slices.Values(known))
	w := foldWord(word)
	best, least := "", max(min(1, len(w)-1), len(w)/3)+1
	for _, k := range known {
		if d := editDistance(w, foldWord(k)); d < least {
			best, least = k, d
		}
	}
	if best != "" {
		return best
	}
	for _, k := range known { // certificates, host_name, http, notification
		f := foldWord(k)
		alike := strings.Contains(w, f) || strings.Contains(f, w) || len(w) > 3 && strings.HasPrefix(f, w[:4])
		if alike && len(f) > len(foldWord(best)) && len(w) > 2 && len(f) > 2 {
			best = k
		}
	}
	return best
}

// foldWord returns a word in lower case without separators.
func foldWord(s string) string {
	return strings.NewReplacer("_", "", "-", "", " ", "").Replace(strings.ToLower(s))
}

// editDistance is the number of letters to change, add or leave out, or pairs to
// swap, to make a of b.
func editDistance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
