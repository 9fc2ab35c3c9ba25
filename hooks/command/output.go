package command

import (
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"

	"keypaird/renew/textfmt"
)

// Limits on the output of a command: the part that is kept, the part in an error, the
// part that a file holds, and what a process that stays can write after the command.
const (
	maxOutput = 8 << 10
	maxLine   = 512
	maxHeld   = 1 << 20
	maxLater  = 8 << 20
)

// An output is the file that a command and its children write to: a pipe would kill
// a server that the command starts in the background, at the first line that it
// writes after the command has ended.
//
// The file has no name, and is opened for appending. While the command runs, [trim]
// drops all but the end of a long output. When it has ended, [release] lets the
// processes that stay write maxLater bytes more; then their writes fail, but no
// signal ends them. Only Linux can do that: on other systems what they write is limited
// by the disk only, and a server should be started with an output of its own.
type output struct{ file *os.File }

// newOutput returns an output. Where there is no file, nothing is kept: that must not
// keep a command from running.
func newOutput() (output, error) {
	file, err := openOutput()
	if err == nil {
		return output{file}, nil
	}
	null, e := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if e != nil {
		return output{}, e
	}
	return output{null}, err
}

// trim bounds what the file holds, if it holds much.
func (o output) trim() {
	if info, err := o.file.Stat(); err == nil && info.Size() > maxHeld {
		dropStart(o.file, info.Size()-maxOutput)
	}
}

// text returns the last maxOutput bytes, printable; if the beginning is missing, it
// starts with a whole line if possible.
func (o output) text() string {
	info, err := o.file.Stat()
	if err != nil {
		return ""
	}
	start := max(0, info.Size()-maxOutput)
	buf, _ := io.ReadAll(io.NewSectionReader(o.file, start, maxOutput))
	s := string(buf)
	if start > 0 {
		if _, rest, ok := strings.Cut(s, "\n"); ok && strings.TrimSpace(rest) != "" {
			s = rest
		}
	}
	return textfmt.Lines(s)
}

// close lets go of the file. A process that stays may write on.
func (o output) close() {
	release(o.file)
	o.file.Close()
}

// summaries are last lines of some servers that only refer to the lines before.
var summaries = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(^nginx: configuration file .* test failed|: Error\(s\) found in configuration file : .*|: Fatal errors found in configuration\.|^Action '.*' failed\.|^The Apache error log may have more information\.)$`)
})

// notRunning is what commands that reload a server say when it does not run: those of
// nginx, apache, postfix, dovecot, prosody, relayd, haproxy, kill(1) and the service
// managers.
var notRunning = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)invalid PID number|(^|[^a-z])(is )?not (currently )?running|is not active|no such process|relayctl: connect: .*`)
})

// stopped reports whether the output of a command says that its server does not run.
func stopped(output string) bool { return notRunning().MatchString(output) }

// lastLine returns the last line of a printable output that is not empty or a
// summary, cut to maxLine.
func lastLine(s string) string {
	lines := strings.Split(s, "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		if !summaries().MatchString(lines[i]) {
			return textfmt.Cut(lines[i], maxLine)
		}
	}
	return textfmt.Cut(lines[len(lines)-1], maxLine)
}

// openTemporary opens a file in the directory for temporary files, and removes it.
func openTemporary() (*os.File, error) {
	made, err := os.CreateTemp("", ".keypaird-output-")
	if err != nil {
		return nil, err
	}
	defer made.Close()
	defer os.Remove(made.Name())
	return os.OpenFile(made.Name(), os.O_RDWR|os.O_APPEND|syscall.O_NOFOLLOW, 0)
}
