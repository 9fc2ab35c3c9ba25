package initial

import (
	"fmt"
	"os"
	"strings"

	"keypaird/cmd/keypaird/config"
	"keypaird/renew/textfmt"
)

const columns = 80

// steps are what is left to do, in order.
type steps struct {
	textfmt.Writer
	n int
}

// step begins one.
func (s *steps) step(format string, args ...any) {
	s.n++
	s.Blank()
	s.Item(fmt.Sprintf("%d. ", s.n), fmt.Sprintf(format, args...))
}

// text adds a paragraph to the step.
func (s *steps) text(format string, args ...any) { s.Item("   ", fmt.Sprintf(format, args...)) }

// lines adds lines of a file.
func (s *steps) lines(lines ...string) {
	s.Blank()
	for _, line := range lines {
		line = strings.ReplaceAll(line, "\t", "    ")
		if code, comment, ok := strings.Cut(line, "    # "); ok && len(line) > columns-7 {
			s.Verbatim(7, "# "+comment+"\n")
			line = strings.TrimRight(code, " ")
		}
		s.Verbatim(7, line+"\n")
	}
}

// commands adds commands to be run as root, or as this user.
func (s *steps) commands(list ...string) {
	prompt := "# "
	if os.Geteuid() != 0 {
		prompt = "$ "
	}
	for _, c := range list {
		s.Verbatim(5, prompt+c+"\n")
	}
}

// command returns how keypaird is called so that it finds the configuration.
func (w *draft) command() string {
	if w.path == config.DefaultPath {
		return "keypaird"
	}
	return "keypaird -config " + word(w.path)
}

// word returns a word of a shell's command line.
func word(s string) string {
	plain := func(r rune) bool { return r > ' ' && r < 0x7f && !strings.ContainsRune("\"'`\\$&|;<>()*?[]#~!{}", r) }
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
