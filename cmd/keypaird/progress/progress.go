package progress

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"keypaird/cmd/keypaird/output"
	"keypaird/renew/textfmt"
)

// A Display is the lines at the end of a terminal. Its methods may be called
// concurrently. A nil Display shows nothing; it cannot be written to.
type Display struct {
	w    io.Writer
	size func() (width, height int)

	mu    sync.Mutex
	shown bool // by Run
	items []item
	text  string // on the screen now
	lines int    // of text
}

// An item is what is being worked on.
type item struct {
	name, text string
	since      time.Time
}

// New returns a Display at the end of w, or nil unless w is a terminal with a
// cursor that can be moved. terminal is $TERM.
func New(w io.Writer, terminal string) *Display {
	f := output.File(w)
	if f == nil || terminal == "dumb" || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return &Display{w: w, size: func() (width, height int) {
		width, height, err := term.GetSize(int(f.Fd()))
		if err != nil || width <= 0 || height <= 0 {
			return 80, 24
		}
		return width, height
	}}
}

// redraw is how often the lines are drawn again: time passes, and the size of a
// terminal changes.
const redraw = 200 * time.Millisecond

// Run shows the lines while work runs, and removes them when it ends.
func (d *Display) Run(work func()) {
	if d == nil {
		work()
		return
	}
	d.show(true)
	defer d.show(false)
	stop := make(chan struct{})
	var ticking sync.WaitGroup
	ticking.Go(func() { d.tick(stop) })
	defer ticking.Wait()
	defer close(stop)
	work()
}

func (d *Display) show(shown bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shown = shown
	d.draw()
}

func (d *Display) tick(stop <-chan struct{}) {
	tick := time.NewTicker(redraw)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			d.mu.Lock()
			d.draw()
			d.mu.Unlock()
		}
	}
}

// Step sets the step that is being done for an item; "" means that the item is
// done.
func (d *Display) Step(name, step string) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	i := slices.IndexFunc(d.items, func(it item) bool { return it.name == name })
	next := item{name, textfmt.OneLine(name+": "+step, 0), time.Now()}
	switch {
	case step == "" && i < 0:
	case step == "":
		d.items = slices.Delete(d.items, i, i+1)
	case i < 0:
		d.items = append(d.items, next)
	default:
		d.items[i] = next
	}
	d.draw()
}

// Write prints lines of a log above those of the items.
func (d *Display) Write(b []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lines > 0 {
		fmt.Fprintf(d.w, up+clearDown, d.lines)
		d.text, d.lines = "", 0
	}
	n, err := d.w.Write(b)
	d.draw()
	return n, err
}

// Control sequences (ECMA-48).
const (
	up        = "\x1b[%dA\r" // to the beginning of the line so many above
	clearLine = "\x1b[K"     // from the cursor to the end of the line
	clearDown = "\x1b[J"     // from the cursor to the end of the screen
)

// draw writes the lines over those of before. What stays as it is, is not
// cleared first: that would flicker. The caller holds mu.
func (d *Display) draw() {
	text, lines := d.render()
	if text == d.text {
		return
	}
	var b strings.Builder
	if d.lines > 0 {
		fmt.Fprintf(&b, up, d.lines)
	}
	b.WriteString(text)
	if lines < d.lines {
		b.WriteString(clearDown)
	}
	d.text, d.lines = text, lines
	io.WriteString(d.w, b.String())
}

// render returns the lines as they should be now. They fit the screen: the cursor
// cannot be moved up beyond it.
func (d *Display) render() (text string, lines int) {
	if !d.shown || len(d.items) == 0 {
		return "", 0
	}
	width, height := d.size()
	items := d.items
	if room := max(1, height-2); len(items) > room { // for "and more", and the cursor
		items = items[:room]
	}
	var b strings.Builder
	for _, it := range items {
		took := ", " + textfmt.Duration(time.Since(it.since).Truncate(time.Second))
		b.WriteString(textfmt.Cut(it.text, max(1, width-1-len(took))) + took + clearLine + "\n")
	}
	lines = len(items)
	if more := len(d.items) - lines; more > 0 {
		fmt.Fprintf(&b, "and %d more%s\n", more, clearLine)
		lines++
	}
	return b.String(), lines
}
