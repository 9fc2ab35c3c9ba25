package child

import (
	"fmt"
	"io"
	"sync"

	"keypaird/acme/dns01/redact"
	"keypaird/renew/textfmt"
)

// maxLogLine bounds a line of the log, in bytes.
const maxLogLine = 2048

// A lineLog writes each message as a single line. It replaces lego's global logger:
// the Fatal of that one would end the process with records left behind.
type lineLog struct {
	mu       sync.Mutex
	w        io.Writer
	redactor redact.Redactor
}

// clean returns a provider's text as one line without secrets. It redacts twice, since
// escape sequences may have split a secret.
func (l *lineLog) clean(text string) string {
	return textfmt.Cut(l.redactor.Redact(textfmt.OneLine(l.redactor.Redact(text), 0)), maxLogLine)
}

func (l *lineLog) Printf(format string, args ...any) { l.Print(fmt.Sprintf(format, args...)) }

// Println is Print: every message is a line.
func (l *lineLog) Println(args ...any) { l.Print(fmt.Sprintln(args...)) }

func (l *lineLog) Print(args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintln(l.w, l.clean(fmt.Sprint(args...)))
}

// A fatal is the value that Fatal panics with; the running request answers it.
type fatal string

func (l *lineLog) Fatalf(format string, args ...any) { l.Fatal(fmt.Sprintf(format, args...)) }
func (l *lineLog) Fatalln(args ...any)               { l.Fatal(fmt.Sprintln(args...)) }

// Fatal ends the request, not the process.
func (l *lineLog) Fatal(args ...any) {
	text := l.clean(fmt.Sprint(args...))
	l.Print("fatal: ", text)
	panic(fatal(text))
}
