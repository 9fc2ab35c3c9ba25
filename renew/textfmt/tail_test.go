package textfmt

import (
	"fmt"
	"strings"
	"testing"
)

// A Tail has the last lines, printable and cut, of whatever pieces are written.
func TestTail(t *testing.T) {
	var w Tail
	for _, piece := range []string{"one\ntw", "o\n\n  \nthree\nfour\n\x1b[31mfi", "ve\r\n", "the end, without a line break"} {
		fmt.Fprint(&w, piece)
	}
	for range 2 {
		if got := w.String(); got != "three / four / five / the end, without a line break" {
			t.Errorf("%q", got)
		}
	}
	fmt.Fprint(&w, strings.Repeat("x", 1e6), "\n", "y\n")
	if got := w.String(); len(got) > TailLines*(TailText+3) || !strings.HasSuffix(got, "x… / y") {
		t.Errorf("%d bytes: %q", len(got), got)
	}
	n := 0
	w = Tail{Line: func(text string) string {
		n += len(text)
		return strings.TrimPrefix(text, "no")
	}}
	fmt.Fprint(&w, "no\nnone\n", strings.Repeat("x", 1e6))
	if got := w.String(); !strings.HasPrefix(got, "ne / xxx") || n != len("nonone")+tailRead {
		t.Errorf("%d bytes were seen, %d kept", n, len(got))
	}
}
