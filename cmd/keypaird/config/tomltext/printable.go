package tomltext

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxMessage is how long parts of a message may be, in characters.
const MaxMessage = 1000

// Cut returns s, or its beginning if it has more than n characters.
func Cut(s string, n int) string {
	if len(s) > n && utf8.RuneCountInString(s) > n {
		return string([]rune(s)[:n]) + "..."
	}
	return s
}

// Printable returns s, cut to n characters, with invisible and control characters
// escaped as in Go strings.
func Printable(s string, n int) string {
	var b strings.Builder
	for _, c := range Cut(s, n) {
		if unicode.IsPrint(c) {
			b.WriteRune(c)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRune(c), "'"))
		}
	}
	return b.String()
}
