package output

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"keypaird/renew/keypair"
	"keypaird/renew/textfmt"
)

// Plain logs events for a person who waits for a command: warnings and errors alone, as
// lines like those of errors, with their remedy below.
func Plain(w io.Writer, style textfmt.Style) *slog.Logger {
	return slog.New(plain{w: w, style: style})
}

type plain struct {
	w     io.Writer
	style textfmt.Style
	attrs []slog.Attr
}

// Enabled implements slog.Handler.
func (plain) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

// WithAttrs implements slog.Handler.
func (p plain) WithAttrs(attrs []slog.Attr) slog.Handler {
	p.attrs = slices.Concat(p.attrs, attrs)
	return p
}

// WithGroup implements slog.Handler; there are no groups.
func (p plain) WithGroup(string) slog.Handler { return p }

// Handle implements slog.Handler. The line has the target first, as an error has, then what
// happened and why, then the rest.
func (p plain) Handle(_ context.Context, r slog.Record) error {
	attrs := slices.Clone(p.attrs)
	r.Attrs(func(a slog.Attr) bool { attrs = append(attrs, a); return true })
	target, text, remedy := "", r.Message, ""
	var rest []string
	for _, a := range attrs {
		value := textfmt.OneLine(a.Value.String(), 0)
		switch a.Key {
		case "cert", "certs", "target", "targets":
			target = "cert " + quoted(a.Value) + ": "
		case "err", "why", "found":
			text += ": " + value
		case "remedy":
			remedy = value
		default:
			rest = append(rest, a.Key+" "+value)
		}
	}
	if len(rest) > 0 {
		text += " (" + strings.Join(rest, ", ") + ")"
	}
	what := "warning: "
	if r.Level >= slog.LevelError {
		what = ""
	}
	lines := fmt.Sprintf("keypaird: %s%s%s\n", what, target, text)
	if remedy != "" {
		lines += "keypaird: remedy: " + remedy + "\n"
	}
	_, err := io.WriteString(p.w, p.style.Set(lines))
	return err
}

// quoted returns the names of targets as an error has them.
func quoted(v slog.Value) string {
	if names, ok := v.Any().([]string); ok {
		return keypair.Quoted(names)
	}
	return keypair.Quoted([]string{textfmt.OneLine(v.String(), 0)})
}
