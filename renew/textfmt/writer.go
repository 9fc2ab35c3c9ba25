package textfmt

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// A Writer collects text in lines of at most Width characters, but for words
// that are longer. Everything it is given becomes printable; of text that is
// longer than 2,000 bytes, the rest is cut off.
type Writer struct {
	Width int // required

	b strings.Builder
}

const maxText = 2000

// Blank adds an empty line.
func (w *Writer) Blank() { w.b.WriteByte('\n') }

// Line adds text behind so many spaces. What does not fit on the line follows
// on further ones, two spaces further in.
func (w *Writer) Line(indent int, format string, args ...any) {
	text := OneLine(fmt.Sprintf(format, args...), maxText)
	w.b.WriteString(Wrap(strings.Repeat(" ", indent), text, w.Width, indent+2))
}

// Item adds text behind lead. What does not fit on the line follows on further
// ones, below the text.
func (w *Writer) Item(lead, text string) {
	w.b.WriteString(Wrap(lead, OneLine(text, maxText), w.Width, len(lead)))
}

// List adds a blank line, a title and a line for each item; nothing if there are
// no items.
func (w *Writer) List(title string, items []string) {
	if len(items) == 0 {
		return
	}
	w.Blank()
	w.Line(0, "%s", title)
	for _, item := range items {
		w.Item("  - ", item)
	}
}

// Verbatim adds the lines of text, each behind so many spaces: spaces stay, and
// what is not printable is escaped.
func (w *Writer) Verbatim(indent int, text string) {
	for line := range strings.Lines(text) {
		line = Cut(strings.TrimRight(line, " \r\n"), maxText)
		if line != "" {
			w.b.WriteString(strings.Repeat(" ", indent))
		}
		for _, c := range line {
			if unicode.IsPrint(c) {
				w.b.WriteRune(c)
				continue
			}
			quoted := strconv.QuoteRune(c)
			w.b.WriteString(quoted[1 : len(quoted)-1])
		}
		w.b.WriteByte('\n')
	}
}

// String returns the text.
func (w *Writer) String() string { return w.b.String() }

// WriteTo writes the text.
func (w *Writer) WriteTo(out io.Writer) (int64, error) {
	n, err := io.WriteString(out, w.b.String())
	return int64(n), err
}

// Plural returns the word for n things.
func Plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// Duration returns d in whole seconds, such as "1h6m", without zeros at its end.
func Duration(d time.Duration) string {
	s := d.Round(time.Second).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
