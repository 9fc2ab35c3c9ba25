package dns01

import (
	"log/slog"
	"strings"

	"keypaird/acme/dns01/redact"
	"keypaird/renew/launch"
	"keypaird/renew/problem"
	"keypaird/renew/textfmt"
)

// A stderrTail keeps the last lines that a child writes to standard error.
type stderrTail struct {
	textfmt.Tail
	log      *slog.Logger
	redactor redact.Redactor
	names    *strings.Replacer // of files that were handed over; nil: none
}

const maxText = 512 // of a text from the child in a message

func newStderrTail(log *slog.Logger, redactor redact.Redactor, names *strings.Replacer) *stderrTail {
	w := &stderrTail{log: log, redactor: redactor, names: names}
	w.Line = func(text string) string {
		if text = textfmt.Cut(w.clean(text), textfmt.TailText); text != "" {
			log.Debug("keypaird-dns says", "text", text)
		}
		return text
	}
	return w
}

// clean returns text as one printable line of bounded length, without secrets of
// the account and queries of URLs. It redacts twice because control characters may
// have split a secret.
func (w *stderrTail) clean(text string) string {
	if w.names != nil {
		text = w.names.Replace(text)
	}
	text = textfmt.OneLine(w.redactor.Redact(text), 0)
	return textfmt.Cut(w.redactor.Redact(text), maxText)
}

// exitError returns the error of a child that failed or does not answer.
func (k *child) exitError(reason string) error {
	const remedy = "try again; if it happens again, report it with the last output, and use another provider or dns-persist-01 meanwhile"
	if output := k.stderr.String(); output != "" {
		return problem.Newf(remedy, "keypaird-dns %s; its last output: %s", reason, output)
	}
	return problem.Newf(remedy, "keypaird-dns %s; it wrote nothing to standard error", reason)
}

// exitReason returns how the child failed, or nil if it exited without error.
func (k *child) exitReason(protocol, exit error) error {
	switch {
	case protocol != nil:
		return k.exitError("violated the protocol: " + protocol.Error())
	case k.cmd.ExitCode() == launch.NotStarted:
		const remedy = "let the user that keypaird-dns runs as execute that program and search the directories above it"
		return problem.Newf(remedy, "keypaird-dns: %s", k.stderr)
	case exit != nil:
		return k.exitError("exited: " + exit.Error())
	}
	return nil
}

// timeoutError returns the error of a child that does not answer.
func (k *child) timeoutError() error {
	return k.exitError("does not answer: the provider hangs")
}
