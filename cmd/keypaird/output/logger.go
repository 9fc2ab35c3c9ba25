package output

import (
	"io"
	"log/slog"
)

// Quiet is above every event: for commands that print results only.
const Quiet = slog.LevelError + 4

// Logger logs events without their time, which an operator or the journal knows.
func Logger(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{
		Level: level,
		ReplaceAttr: func(groups []string, attr slog.Attr) slog.Attr {
			if attr.Key == slog.TimeKey && len(groups) == 0 {
				return slog.Attr{}
			}
			return attr
		},
	}))
}
