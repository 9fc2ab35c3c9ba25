package command

import (
	"regexp"
	"strings"
	"sync"

	"keypaird/renew/textfmt"
)

// Limits on the output of a command: the part that is kept, and the part in an error.
const (
	maxOutput = 8 << 10
	maxLine   = 512
)

// A tail keeps the last maxOutput bytes written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
	cut bool // there was more
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(p)
	if len(p) > maxOutput {
		p, t.buf, t.cut = p[len(p)-maxOutput:], t.buf[:0], true
	}
	if over := len(t.buf) + len(p) - maxOutput; over > 0 {
		t.buf, t.cut = append(t.buf[:0], t.buf[over:]...), true
	}
	t.buf = append(t.buf, p...)
	return n, nil
}

// String returns the output that was kept, printable; if the beginning is missing, it
// starts with a whole line if possible.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := string(t.buf)
	if t.cut {
		if _, rest, ok := strings.Cut(s, "\n"); ok && strings.TrimSpace(rest) != "" {
			s = rest
		}
	}
	return textfmt.Lines(s)
}

// summaries are last lines of some servers that only refer to the lines before.
var summaries = regexp.MustCompile(`(^nginx: configuration file .* test failed|: Error\(s\) found in configuration file : .*|: Fatal errors found in configuration\.|^Action '.*' failed\.|^The Apache error log may have more information\.)$`)

// lastLine returns the last line of a printable output that is not empty or a
// summary, cut to maxLine.
func lastLine(s string) string {
	lines := strings.Split(s, "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		if !summaries.MatchString(lines[i]) {
			return textfmt.Cut(lines[i], maxLine)
		}
	}
	return textfmt.Cut(lines[len(lines)-1], maxLine)
}
