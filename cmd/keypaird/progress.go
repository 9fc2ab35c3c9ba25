package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// A progress shows a person at a terminal what is being done: a line for each
// target in work, with its step and the seconds it has taken.
type progress struct {
	w     io.Writer
	width int

	mu    sync.Mutex
	steps []running
	lines int // on the screen now
	over  bool
}

type running struct {
	target, step string
	since        time.Time
}

const redraw = 200 * time.Millisecond

// newProgress returns a progress, and whether w is a terminal that can show it.
func newProgress(w io.Writer) (*progress, bool) {
	p := &progress{w: w, width: 80}
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) || os.Getenv("TERM") == "dumb" {
		return p, false
	}
	if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 20 {
		p.width = width
	}
	return p, true
}

// step notes what is done for a target; "" takes its line away.
func (p *progress) step(target, step string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.steps, func(r running) bool { return r.target == target })
	switch {
	case step == "" && i >= 0:
		p.steps = slices.Delete(p.steps, i, i+1)
	case step == "":
	case i >= 0:
		p.steps[i].step, p.steps[i].since = step, time.Now()
	default:
		p.steps = append(p.steps, running{target, step, time.Now()})
	}
	p.draw()
}

// start keeps the seconds going until the returned function is called.
func (p *progress) start() func() {
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(redraw)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				p.mu.Lock()
				p.draw()
				p.mu.Unlock()
			}
		}
	}()
	return func() {
		close(stop)
		<-stopped
	}
}

// finish clears the lines, so that what is printed next stands alone.
func (p *progress) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.steps = nil
	p.draw()
	p.over = true
}

// maxLines is how many targets are shown: as many as a small terminal has room
// for.
const maxLines = 18

// Write prints what is logged meanwhile above the lines.
func (p *progress) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lines > 0 {
		fmt.Fprintf(p.w, "\x1b[%dA\r\x1b[J", p.lines)
		p.lines = 0
	}
	n, err := p.w.Write(b)
	p.draw()
	return n, err
}

// draw writes the lines over those of before. The caller holds mu.
func (p *progress) draw() {
	if p.over || p.lines == 0 && len(p.steps) == 0 {
		return
	}
	var b strings.Builder
	if p.lines > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", p.lines) // up to the first line
	}
	b.WriteString("\r\x1b[J") // clear to the end
	shown := p.steps[:min(len(p.steps), maxLines)]
	for _, r := range shown {
		line := fmt.Sprintf("%s: %s, %d s", r.target, r.step, int(time.Since(r.since).Seconds()))
		if len(line) > p.width-1 {
			line = line[:p.width-1]
		}
		b.WriteString(line + "\n")
	}
	p.lines = len(shown)
	if more := len(p.steps) - len(shown); more > 0 {
		fmt.Fprintf(&b, "and %d more\n", more)
		p.lines++
	}
	io.WriteString(p.w, b.String())
}
