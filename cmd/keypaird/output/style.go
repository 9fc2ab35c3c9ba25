package output

import (
	"io"
	"os"

	"golang.org/x/term"

	"keypaird/renew/textfmt"
)

// The size that is assumed of a terminal that does not say it, and the least width that
// text is set to.
const (
	usualWidth, usualHeight = 80, 24
	leastWidth              = 40
)

// Terminal returns the terminal that w writes to, or nil. kind is $TERM: obeys reports
// whether the terminal obeys control sequences.
func Terminal(w io.Writer, kind string) (f *os.File, obeys bool) {
	f = File(w)
	if f == nil || !term.IsTerminal(int(f.Fd())) {
		return nil, false
	}
	return f, kind != "" && kind != "dumb"
}

// Size returns the size of a terminal in characters.
func Size(terminal *os.File) (width, height int) {
	width, height, _ = term.GetSize(int(terminal.Fd()))
	if width <= 0 {
		width = usualWidth
	}
	if height <= 0 {
		height = usualHeight
	}
	return width, height
}

// Style returns how text is set for the reader of w: wrapped at a terminal, with colours
// unless it has none or $NO_COLOR is set (no-color.org).
func Style(w io.Writer, getenv func(string) string) textfmt.Style {
	terminal, obeys := Terminal(w, getenv("TERM"))
	if terminal == nil {
		return textfmt.Style{}
	}
	width, _ := Size(terminal)
	return textfmt.Style{Width: max(width, leastWidth), Colour: obeys && getenv("NO_COLOR") == ""}
}
