package hooks

import (
	"log/slog"
	"regexp"
	"strings"
	"sync"

	"keypaird/renew/textfmt"
)

// Output of a command: what is kept, and how much of it is shown in an error.
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

// String returns what was kept, printable; if the beginning is missing, it starts
// with a whole line where there is one.
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

// summaries are the lines of some servers that say only that the lines before
// say what is wrong.
var summaries = regexp.MustCompile(`(^nginx: configuration file .* test failed|: Error\(s\) found in configuration file : .*|: Fatal errors found in configuration\.|^Action '.*' failed\.|^The Apache error log may have more information\.)$`)

// lastLine returns the last line of a printable output that says something, no
// longer than maxLine.
func lastLine(s string) string {
	lines := strings.Split(s, "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		if !summaries.MatchString(lines[i]) {
			return textfmt.Cut(lines[i], maxLine)
		}
	}
	return textfmt.Cut(lines[len(lines)-1], maxLine)
}

// logger returns l, or one that discards.
func logger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}
