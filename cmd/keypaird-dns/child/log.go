package child

import (
	"fmt"
	"io"
	"strings"
	"sync"

	"keypaird/acme/dns01/secrets"
)

// A lineLog writes each message as a single line. It stands in for lego's
// global logger, whose Fatal would end the process with records left behind.
type lineLog struct {
	mu   sync.Mutex
	w    io.Writer
	hide secrets.Veil
}

// tidy makes a provider's text fit for the parent: no secrets, one line.
func (l *lineLog) tidy(text string) string {
	return oneLine(l.hide.Hide(text))
}

func (l *lineLog) Printf(format string, args ...any) { l.Print(fmt.Sprintf(format, args...)) }

// Println is Print: every message is a line.
func (l *lineLog) Println(args ...any) { l.Print(fmt.Sprintln(args...)) }

func (l *lineLog) Print(args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintln(l.w, l.tidy(fmt.Sprint(args...)))
}

// A fatal is what Fatal panics with, for the request under way to answer.
type fatal string

func (l *lineLog) Fatalf(format string, args ...any) { l.Fatal(fmt.Sprintf(format, args...)) }
func (l *lineLog) Fatalln(args ...any)               { l.Fatal(fmt.Sprintln(args...)) }

// Fatal ends the request, not the process.
func (l *lineLog) Fatal(args ...any) {
	text := l.tidy(fmt.Sprint(args...))
	l.Print("fatal: ", text)
	panic(fatal(text))
}

// oneLine makes a provider's text fit for a log line: no line breaks, no
// control characters, not endless.
func oneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	text = strings.Join(strings.Fields(text), " ")
	const most = 2048
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return text
}
