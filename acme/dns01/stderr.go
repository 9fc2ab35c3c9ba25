package dns01

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"keypaird/acme/dns01/redact"
	"keypaird/renew/textfmt"
)

// lastWords keeps the last lines a child writes to standard error.
type lastWords struct {
	log      *slog.Logger
	redactor redact.Redactor

	mu    sync.Mutex
	rest  []byte // of a line not yet complete
	lines []string
}

const (
	keepLines = 4
	keepBytes = 500     // of a line
	readBytes = 8 << 10 // of a line, so that no secret is cut in two before it is hidden
	mostBytes = 512     // of a text of the child's in a message
)

func (w *lastWords) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(b)
	for len(b) > 0 {
		part, rest, whole := bytes.Cut(b, []byte("\n"))
		if room := readBytes - len(w.rest); room > 0 {
			w.rest = append(w.rest, part[:min(len(part), room)]...)
		}
		if whole {
			w.line(string(w.rest))
			w.rest = w.rest[:0]
		}
		b = rest
	}
	return n, nil
}

func (w *lastWords) line(text string) {
	if text = textfmt.Cut(w.clean(text), keepBytes); text == "" {
		return
	}
	w.log.Debug("keypaird-dns says", "text", text)
	if len(w.lines) == keepLines {
		w.lines = w.lines[1:]
	}
	w.lines = append(w.lines, text)
}

// clean makes text fit for a message: one printable line without secrets of
// the account and queries of URLs, of bounded length. Secrets are replaced again
// once control characters no longer part them.
func (w *lastWords) clean(text string) string {
	text = textfmt.OneLine(w.redactor.Redact(text), 0)
	return textfmt.Cut(w.redactor.Redact(text), mostBytes)
}

func (w *lastWords) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.rest) > 0 {
		w.line(string(w.rest))
		w.rest = nil
	}
	return strings.Join(w.lines, " / ")
}

// A deathError reports a child that ended badly, or does not answer.
type deathError struct{ how, words string }

func (e *deathError) Error() string {
	if e.words == "" {
		return "keypaird-dns " + e.how + " without a word"
	}
	return fmt.Sprintf("keypaird-dns %s; its last words: %s", e.how, e.words)
}

// obituary says how the child ended; nil if in good order.
func (k *child) obituary(protocol, exit error) error {
	switch {
	case protocol != nil:
		return &deathError{"does not keep to the protocol: " + protocol.Error(), k.words.String()}
	case exit != nil:
		return &deathError{"ended: " + exit.Error(), k.words.String()}
	}
	return nil
}

func (k *child) hangs() error {
	return &deathError{"does not answer: the provider hangs", k.words.String()}
}
