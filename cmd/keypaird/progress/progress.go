package progress

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"keypaird/cmd/keypaird/output"
	"keypaird/renew/textfmt"
)

// A Display is the lines at the end of a terminal. Its methods may be called
// concurrently.
type Display struct {
	w    io.Writer
	size func() (width, height int) // nil: no lines are shown

	mu    sync.Mutex
	shown bool // by Run
	items []item
	began map[string]time.Time     // when work on an item began first
	took  map[string]time.Duration // until its end
	text  string                   // on the screen now
	lines int                      // of text
}

// An item is one line of the display.
type item struct {
	name, text string
	since      time.Time
}

// New returns a Display at the end of w. It shows nothing unless w is a terminal with a
// cursor that can be moved. terminal is $TERM.
func New(w io.Writer, terminal string) *Display {
	d := Hidden(w)
	if f, obeys := output.Terminal(w, terminal); obeys {
		d.size = func() (width, height int) { return output.Size(f) }
	}
	return d
}

// Hidden returns a Display that shows nothing.
func Hidden(w io.Writer) *Display {
	return &Display{w: w, began: map[string]time.Time{}, took: map[string]time.Duration{}}
}

// Took returns how long the work on an item took, and whether there was any.
func (d *Display) Took(name string) (time.Duration, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	took, ok := d.took[name]
	return took, ok
}

// redraw is how often the lines are drawn again: time passes, and the size of a
// terminal changes.
const redraw = 200 * time.Millisecond

// Run shows the lines while work runs, and removes them when it ends.
func (d *Display) Run(work func()) {
	if d.size == nil {
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
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, begun := d.began[name]; !begun && step != "" {
		d.began[name] = time.Now()
	}
	i := slices.IndexFunc(d.items, func(it item) bool { return it.name == name })
	next := item{name, textfmt.OneLine(name+": "+step, 0), time.Now()}
	switch {
	case step == "" && i < 0:
	case step == "":
		d.items = slices.Delete(d.items, i, i+1)
		d.took[name] = time.Since(d.began[name])
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
