// Package output writes what a program prints to readers that may stop reading: the
// reader of a pipe must hold up neither a deployment nor the end of the program.
package output

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// How long a line may take, and how many lines may wait.
const (
	patience = time.Second
	maxLines = 1000
)

// A Writer writes lines to a writer that may block.
//
// A line is written before Write returns, unless that takes more than a second. Then
// lines wait until the reader goes on, and what the program does goes on. When too many
// wait, Write waits for the reader; but once [Writer.Drop] has been called, nothing
// waits for longer than a second: lines that are too many are dropped, and a line says
// how many.
type Writer struct {
	out      io.Writer
	lines    chan line
	dropping chan struct{} // closed by Drop
	drop     func()
	stuck    atomic.Bool
	dropped  atomic.Int64
}

type line struct {
	text []byte
	done chan struct{} // closed when it has been written
}

// NewWriter returns a writer to out. The caller calls Run.
func NewWriter(out io.Writer) *Writer {
	w := &Writer{out: out, lines: make(chan line, maxLines), dropping: make(chan struct{})}
	w.drop = sync.OnceFunc(func() { close(w.dropping) })
	return w
}

// Run writes lines until stop is closed. It does not return while out blocks.
func (w *Writer) Run(stop <-chan struct{}) {
	for {
		select {
		case l := <-w.lines:
			w.out.Write(l.text)
			w.stuck.Store(false)
			close(l.done)
		case <-stop:
			return
		}
		if len(w.lines) > 0 {
			continue
		}
		if n := w.dropped.Swap(0); n > 0 {
			fmt.Fprintf(w.out, "level=WARN msg=\"log lines dropped\" count=%d\n", n)
		}
	}
}

// A program calls Drop if its output may have no reader, as a daemon's, or if it is about
// to end.
func (w *Writer) Drop() { w.drop() }

// KeepOn has this process, a daemon, go on when the reader of its log w goes away, until
// stop is called. An ignored signal would change how the programs that it starts behave.
func KeepOn(w io.Writer) (stop func()) {
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE)
	if own, ok := w.(*Writer); ok {
		own.Drop()
	}
	return func() { signal.Stop(broken) }
}

// Write implements io.Writer; p is one line. It never fails.
func (w *Writer) Write(p []byte) (int, error) {
	l := line{bytes.Clone(p), make(chan struct{})}
	if !w.queue(l) {
		w.dropped.Add(1)
		return len(p), nil
	}
	if !w.stuck.Load() {
		w.await(l)
	}
	return len(p), nil
}

// queue adds a line, and reports whether it was possible.
func (w *Writer) queue(l line) bool {
	select {
	case w.lines <- l:
		return true
	default:
	}
	select {
	case w.lines <- l:
		return true
	case <-w.dropping:
		return false
	}
}

// await waits until a line is written, but not for long.
func (w *Writer) await(l line) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-l.done:
	case <-timer.C:
		w.stuck.Store(true)
	}
}

// Flush waits until the lines before are written; after Drop, not for long.
func (w *Writer) Flush() {
	end := line{done: make(chan struct{})}
	if !w.queue(end) {
		return
	}
	select {
	case <-end.done:
	case <-w.dropping:
		w.await(end)
	}
}

// File returns the file that w writes to, or nil.
func File(w io.Writer) *os.File {
	switch own := w.(type) {
	case *Writer:
		w = own.out
	case until:
		w = own.out
	}
	file, _ := w.(*os.File)
	return file
}

// Until returns a writer to out. Once done is closed, a write that blocks fails.
func Until(done <-chan struct{}, out io.Writer) io.Writer { return until{done, out} }

type until struct {
	done <-chan struct{}
	out  io.Writer
}

// Write implements io.Writer.
func (u until) Write(p []byte) (int, error) {
	type result struct {
		n   int
		err error
	}
	written := make(chan result, 1)
	p = bytes.Clone(p)
	go func() { // until the process ends, if the reader has stopped
		n, err := u.out.Write(p)
		written <- result{n, err}
	}()
	select {
	case r := <-written:
		return r.n, r.err
	case <-u.done:
	}
	select {
	case r := <-written:
		return r.n, r.err
	case <-time.After(patience):
		return 0, context.Canceled
	}
}
