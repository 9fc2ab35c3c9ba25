package output

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keypaird/renew/textfmt"
)

// Warnings are lines for a person; what is less is not logged, and no text of others
// controls the terminal.
func TestPlain(t *testing.T) {
	var b strings.Builder
	log := Plain(&b, textfmt.Style{})
	log.Info("decided", "cert", "mail")
	log.Debug("how")
	log.Warn("trying the next CA", "cert", "mail", "failed", "down", "next", "pebble", "err", errors.New("no\nanswer\x1b[2J"))
	log.With("deployment", "proxy").Warn("rolled back", "certs", []string{"a", "b"})
	log.Warn("key exposed", "cert", "mail", "err", "x can be read", "remedy", "chmod 600 x")
	log.WithGroup("g").Error("not saved", "why", "disk full")
	want := `keypaird: warning: cert "mail": trying the next CA: no answer (failed down, next pebble)
keypaird: warning: cert "a", "b": rolled back (deployment proxy)
keypaird: warning: cert "mail": key exposed: x can be read
keypaird: remedy: chmod 600 x
keypaird: not saved: disk full
`
	if b.String() != want {
		t.Errorf("%s\nwant\n%s", b.String(), want)
	}
}

// A file and a pipe are no terminals, whatever writes to them.
func TestStyleOfFile(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	xterm := func(name string) string { return map[string]string{"TERM": "xterm"}[name] }
	if s := Style(f, xterm); s != (textfmt.Style{}) {
		t.Errorf("a file has the style %+v", s)
	}
	if s := Style(new(strings.Builder), xterm); s != (textfmt.Style{}) {
		t.Errorf("memory has the style %+v", s)
	}
	if File(Until(nil, f)) != f || File(NewWriter(f)) != f {
		t.Error("the file behind a writer is not found")
	}
}
