package textfmt

import (
	"regexp"
	"strings"
	"sync"
	"unicode/utf8"
)

// A Style sets text for its reader: lines are wrapped to the width of a terminal, and words
// that say how something is have colours. The zero value is for files and programs, which
// get the text as it is.
type Style struct {
	Width  int // in characters; 0: lines are not wrapped
	Colour bool
}

// noBreak stands for a space at which no line is broken, until the text is set.
const noBreak = '\u00a0'

// Fixed returns text that is to be copied as it is, such as a line of a configuration:
// [Style.Set] does not break it, and makes its spaces usual ones.
func Fixed(text string) string { return strings.ReplaceAll(text, " ", string(noBreak)) }

// Set returns text in the style, made printable as by [Printable]. A line that is too long
// goes on below its last column, where two spaces or more begin one, or else two spaces
// further in than it begins.
func (s Style) Set(text string) string {
	if s == (Style{}) {
		return Printable(text)
	}
	text = strings.Map(func(r rune) rune {
		if r == noBreak {
			return r
		}
		return printable(r)
	}, text)
	var b strings.Builder
	for line := range strings.Lines(text) {
		line, ends := strings.CutSuffix(line, "\n")
		if s.Width > 0 && utf8.RuneCountInString(line) > s.Width {
			line = strings.TrimSuffix(s.wrap(line), "\n")
		}
		line = strings.ReplaceAll(line, string(noBreak), " ")
		if s.Colour {
			first, rest, wrapped := strings.Cut(line, "\n")
			line = paint(first)
			if wrapped {
				line += "\n" + rest
			}
		}
		b.WriteString(line)
		if ends {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// wrap breaks a line that is too long.
func (s Style) wrap(line string) string {
	indent := len(line) - len(strings.TrimLeft(line, " "))
	lead, rest := line[:indent], line[indent:]
	hang := indent
	switch word := firstWord().FindString(rest); {
	case indent > s.Width*2/3: // a column of a table
		hang = 6
		lead = strings.Repeat(" ", hang)
	case indent == 0 && colours[word] != "" && strings.HasPrefix(rest[len(word):], " "):
		hang = len(word) + 1 // a column as narrow as its word
	case indent < 8: // deeper lines, such as of options, are set apart already
		hang += 2
	}
	if i := strings.LastIndex(rest, "  "); i >= 0 {
		lead, rest = line[:indent+i+2], rest[i+2:]
		hang = utf8.RuneCountInString(lead)
		if hang > s.Width*2/3 { // a table with little room for its last column
			hang = indent + 4
			lead = strings.TrimRight(lead, " ") + "\n" + strings.Repeat(" ", hang)
		}
	}
	return wrap(lead, strings.FieldsFunc(rest, func(r rune) bool { return r == ' ' }), s.Width, hang)
}

// Colours (ECMA-48, SGR).
const (
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
	bold   = "1"
)

// colours are those of the words with which the outputs say how something is.
var colours = map[string]string{
	"ok": green, "issued": green, "deployed": green, "imported": green, "verified": green,
	"warning": yellow, "warn": yellow, "pending": yellow, "due": yellow, "unverified": yellow, "UNKNOWN": yellow, "?": yellow,
	"failed": red, "FAIL": red, "failing": red, "missing": red, "expired": red, "damaged": red, "error": red,
	"remedy": cyan,
}

// program is what begins the lines on standard error.
const program = "keypaird: "

// paint colours the words of a line that say how something is: its first one, and each
// that is a column of its own; and makes the heads of columns bold.
func paint(line string) string {
	if heads().MatchString(line) {
		return coloured(line, bold)
	}
	lead := line[:len(line)-len(strings.TrimLeft(line, " "))]
	text, ofProgram := strings.CutPrefix(line[len(lead):], program)
	if ofProgram {
		lead += program
	}
	columns := gaps().FindAllStringIndex(text, -1)
	var b strings.Builder
	b.WriteString(lead)
	at := 0
	for _, gap := range append(columns, []int{len(text), len(text)}) {
		cell := text[at:gap[0]]
		word := cell
		if at == 0 {
			word = firstWord().FindString(cell)
		}
		if colour := colours[word]; colour != "" {
			cell = coloured(word, colour) + cell[len(word):]
		}
		b.WriteString(cell + text[gap[0]:gap[1]])
		at = gap[1]
	}
	return b.String()
}

var (
	heads     = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Z]+(  +[A-Z]+( [A-Z]+)*)+$`) })
	gaps      = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`  +`) })
	firstWord = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(\?|[A-Za-z]+)`) })
)

// coloured returns text between the control sequences of a colour.
func coloured(text, colour string) string { return "\x1b[" + colour + "m" + text + "\x1b[m" }

// Alert returns text in the colour of what failed.
func (s Style) Alert(text string) string {
	if !s.Colour {
		return text
	}
	return coloured(text, red)
}

// Table returns rows with aligned columns. Rows may have different lengths: a row of one
// cell stands by itself.
func Table(rows ...[]string) string {
	var widths []int
	for _, row := range rows {
		for i, cell := range row[:max(0, len(row)-1)] { // nothing is to be aligned behind the last
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell)
			if i+1 < len(row) {
				line.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return b.String()
}
