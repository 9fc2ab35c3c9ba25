package daemon

import (
	"bytes"
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// How long a line of the log may take, and how many lines may wait.
const (
	logPatience = time.Second
	maxLogLines = 1000
)

// A LogWriter writes lines to a writer that may block: the reader of a pipe may stop
// reading, and that must hold up neither a deployment nor the end of the daemon.
//
// A line is written before Write returns, unless that takes more than a second. Then
// lines wait until the reader goes on; those that are too many are dropped, and a line
// says how many.
type LogWriter struct {
	out     io.Writer
	lines   chan logLine
	stuck   atomic.Bool
	dropped atomic.Int64
}

type logLine struct {
	text []byte
	done chan struct{} // closed when it has been written
}

// NewLogWriter returns a writer to out. The caller calls Run.
func NewLogWriter(out io.Writer) *LogWriter {
	return &LogWriter{out: out, lines: make(chan logLine, maxLogLines)}
}

// Run writes lines until stop is closed. It does not return while out blocks.
func (l *LogWriter) Run(stop <-chan struct{}) {
	for {
		select {
		case line := <-l.lines:
			l.out.Write(line.text)
			l.stuck.Store(false)
			close(line.done)
		case <-stop:
			return
		}
		if len(l.lines) > 0 {
			continue
		}
		if n := l.dropped.Swap(0); n > 0 {
			fmt.Fprintf(l.out, "level=WARN msg=\"log lines dropped\" count=%d\n", n)
		}
	}
}

// Write implements io.Writer; p is one line. It never fails.
func (l *LogWriter) Write(p []byte) (int, error) {
	line := logLine{bytes.Clone(p), make(chan struct{})}
	select {
	case l.lines <- line:
	default:
		l.dropped.Add(1)
		return len(p), nil
	}
	if !l.stuck.Load() {
		l.await(line)
	}
	return len(p), nil
}

// await waits until a line is written, but not for long.
func (l *LogWriter) await(line logLine) {
	patience := time.NewTimer(logPatience)
	defer patience.Stop()
	select {
	case <-line.done:
	case <-patience.C:
		l.stuck.Store(true)
	}
}

// Flush waits until the lines before are written, but not for long.
func (l *LogWriter) Flush() {
	end := logLine{done: make(chan struct{})}
	select {
	case l.lines <- end:
		l.await(end)
	default:
	}
}
