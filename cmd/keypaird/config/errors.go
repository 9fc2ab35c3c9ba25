package config

import (
	"errors"
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

func (m Mistake) Error() string {
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
		return m[0].Error()
	case 2:
		return m[0].Error() + " (and another mistake)"
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
func (p path) String() string {
	keys := make([]string, len(p))
	for i, key := range p {
		keys[i] = Printable(key, maxShown)
		if key == "" || strings.Trim(key, bareKey) != "" {
			keys[i] = strconv.Quote(cut(key, maxShown))
		}
	}
	return strings.Join(keys, ".")
}

// TableHeader returns the header of a table as TOML writes it: [dns.ns].
func TableHeader(keys ...string) string { return "[" + path(keys).String() + "]" }

const bareKey = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"

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
	s = cut(s, n)
	if !strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsPrint(c) }) && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for _, c := range s {
		if quoted := strconv.QuoteRune(c); unicode.IsPrint(c) {
			b.WriteRune(c)
		} else {
			b.WriteString(quoted[1 : len(quoted)-1])
		}
	}
	return b.String()
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

// reportedUnder reports whether there is a mistake at p or below.
func (r *reader) reportedUnder(p path) bool {
	return slices.ContainsFunc(r.mistakePaths, func(place path) bool { return place.isUnder(p) })
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
