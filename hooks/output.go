package hooks

import (
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
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

// String returns what was kept, clean; if the beginning is missing, it starts
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
	return clean(s)
}

// escapes are the sequences that colour a terminal, move its cursor or set
// its title.
var escapes = regexp.MustCompile(`\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(\x07|\x1b\\)?|[@-Z\\^_])`)

// clean removes what could change a terminal or forge a line of the log.
// Lines are kept apart by "\n", and empty ones dropped.
func clean(s string) string {
	s = escapes.ReplaceAllString(strings.ToValidUTF8(s, "\uFFFD"), "")
	var lines []string
	for _, l := range strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }) {
		l = strings.Map(func(r rune) rune {
			switch {
			case r == '\t':
				return ' '
			case !unicode.IsPrint(r):
				return -1
			}
			return r
		}, l)
		if l = strings.TrimSpace(l); l != "" {
			lines = append(lines, l)
		}
	}
	return strings.Join(lines, "\n")
}

// oneLine is clean for a text that has to fit into a line or a variable.
func oneLine(s string) string {
	return cut(strings.ReplaceAll(clean(s), "\n", " "))
}

// summaries are the lines of some servers that say only that the lines before
// say what is wrong.
var summaries = regexp.MustCompile(`(^nginx: configuration file .* test failed|: Error\(s\) found in configuration file : .*|: Fatal errors found in configuration\.|^Action '.*' failed\.|^The Apache error log may have more information\.)$`)

// lastLine returns the last line of a clean output that says something, no
// longer than maxLine.
func lastLine(s string) string {
	lines := strings.Split(s, "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		if !summaries.MatchString(lines[i]) {
			return cut(lines[i])
		}
	}
	return cut(lines[len(lines)-1])
}

// cut shortens s to maxLine bytes of whole characters.
func cut(s string) string {
	if len(s) <= maxLine {
		return s
	}
	n := maxLine
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// logger returns l, or one that discards.
func logger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}
