package textfmt

import (
	"bytes"
	"strings"
	"sync"
)

// A Tail keeps the last lines of what is written to it, such as the standard error of a child.
// Its methods may be called concurrently.
type Tail struct {
	// Line returns what is kept of a line; "": nothing. nil: it, printable.
	Line func(text string) string

	mu    sync.Mutex
	rest  []byte // of a line not yet complete
	lines []string
}

// Limits of a Tail.
const (
	TailLines = 4
	TailText  = 500     // bytes that are kept of a line
	tailRead  = 8 << 10 // that Line sees of a line
)

// Write implements io.Writer.
func (t *Tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(b)
	for len(b) > 0 {
		part, rest, whole := bytes.Cut(b, []byte("\n"))
		if room := tailRead - len(t.rest); room > 0 {
			t.rest = append(t.rest, part[:min(len(part), room)]...)
		}
		if whole {
			t.end()
		}
		b = rest
	}
	return n, nil
}

// end ends a line. t.mu is held.
func (t *Tail) end() {
	text := string(t.rest)
	t.rest = t.rest[:0]
	if t.Line != nil {
		text = t.Line(text)
	} else {
		text = OneLine(text, 0)
	}
	if text = Cut(text, TailText); text == "" {
		return
	}
	t.lines = append(t.lines, text)
	t.lines = t.lines[max(0, len(t.lines)-TailLines):]
}

// String returns the last lines on one.
func (t *Tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.rest) > 0 {
		t.end()
	}
	return strings.Join(t.lines, " / ")
}
