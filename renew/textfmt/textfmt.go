package textfmt

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// escapes are the sequences that colour a terminal, move its cursor or set its
// title (ECMA-48: CSI, OSC and the two-character ones).
var escapes = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(\x07|\x1b\\)|[@-Z\\^_])`)
})

// unescaped returns text without them.
func unescaped(text string) string {
	if !strings.Contains(text, "\x1b") {
		return text
	}
	return escapes().ReplaceAllString(text, "")
}

// OneLine returns text as one printable line of at most limit bytes, without
// space at either end. If something is cut off, the line ends in "…". A limit
// of 0 means none.
func OneLine(text string, limit int) string {
	var b strings.Builder
	last := ' '
	for _, r := range unescaped(text) {
		switch {
		case unicode.IsSpace(r):
			r = ' '
		case !unicode.IsPrint(r): // and invalid UTF-8, which range turns into U+FFFD
			r = utf8.RuneError
		}
		if r == last && (r == ' ' || r == utf8.RuneError) {
			continue
		}
		b.WriteRune(r)
		last = r
	}
	return Cut(strings.TrimSuffix(b.String(), " "), limit)
}

// Printable returns text with every character that cannot be printed replaced as by
// [OneLine]. Lines and spaces stay.
func Printable(text string) string {
	return strings.Map(printable, text)
}

func printable(r rune) rune {
	switch {
	case r == '\n', unicode.IsPrint(r):
		return r
	case unicode.IsSpace(r):
		return ' '
	}
	return utf8.RuneError
}

// JSON returns v as indented JSON that ends in a new line. Characters that cannot be
// printed are escaped: a program reads them as they are, and a terminal shows them.
func JSON(v any) ([]byte, error) {
	var encoded, b bytes.Buffer
	enc := json.NewEncoder(&encoded)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	for _, r := range encoded.String() {
		if r == '\n' || unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.Bytes(), nil
}

// Lines is OneLine for each line of text; empty lines are dropped.
func Lines(text string) string {
	var lines []string
	text = unescaped(text)
	for line := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == '\n' || r == '\r' }) {
		if line = OneLine(line, 0); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

// Cut returns text, or so many of its first characters that they and "…" are
// at most limit bytes. A limit of 0 means none.
func Cut(text string, limit int) string {
	const mark = "…"
	if limit <= 0 || len(text) <= limit {
		return text
	}
	end := max(0, limit-len(mark))
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	if limit < len(mark) {
		return ""
	}
	return strings.TrimSuffix(text[:end], " ") + mark
}

// Wrap returns the words of text behind lead, in lines of at most width
// characters but for words that are longer. Lines after the first begin with
// indent spaces; each line ends in "\n". The words are used as they are.
func Wrap(lead, text string, width, indent int) string {
	return wrap(lead, strings.Fields(text), width, indent)
}

// wrap is Wrap for words.
func wrap(lead string, words []string, width, indent int) string {
	var b strings.Builder
	b.WriteString(lead)
	at := utf8.RuneCountInString(lead[strings.LastIndexByte(lead, '\n')+1:])
	first := true
	for _, word := range words {
		n := utf8.RuneCountInString(word)
		switch {
		case first:
		case at+1+n > width:
			b.WriteString("\n" + strings.Repeat(" ", indent))
			at = indent
		default:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at, first = at+n, false
	}
	return strings.TrimRight(b.String(), " ") + "\n"
}
