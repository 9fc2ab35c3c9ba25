package status

import (
	"fmt"
	"time"
)

// A bar draws a certificate's lifetime, from its begin on the left to its end on
// the right. Positions are in percent.
type bar struct {
	Begin, End time.Time
	NotLive    bool // the certificate is not in use
	Now        float64
	Due        *mark // nil: unknown, or another certificate is due
	Overdue    *mark
	Window     *interval // nil: the CA suggests no window
	Label      string    // text alternative
}

// A mark is an instant.
type mark struct {
	At       time.Time
	Position float64
	Rest     float64 // width of the bar after it
}

// An interval is a time from one instant to another.
type interval struct {
	From, To        time.Time
	Position, Width float64
}

// minWidth is the smallest width at which an interval is drawn, so that it is
// visible.
const minWidth = 1.5

func newBar(t Target, now time.Time) *bar {
	c := t.Live
	if c == nil {
		c = t.Newest
	}
	if c == nil || !c.NotAfter.After(c.NotBefore) {
		return nil
	}
	b := &bar{Begin: c.NotBefore, End: c.NotAfter, NotLive: t.Live == nil}
	b.Now = b.position(now)
	b.Label = fmt.Sprintf("lifetime from %s to %s, %.0f%% elapsed", when(b.Begin), when(b.End), b.Now)
	if newest := t.Newest == nil || t.Live == nil; newest && t.Due != nil {
		b.Due = b.mark(*t.Due)
		b.Label += ", due " + when(*t.Due)
		b.window(t.Renewal)
	}
	if t.Live != nil {
		b.Overdue = b.mark(t.OverdueAt)
		b.Label += ", overdue from " + when(t.OverdueAt)
	}
	return b
}

// window marks the CA's suggested renewal window.
func (b *bar) window(r *Renewal) {
	if r == nil || r.Start.IsZero() {
		return
	}
	from, to := b.position(r.Start), b.position(r.End)
	width := max(to-from, minWidth)
	b.Window = &interval{r.Start, r.End, min(from, 100-width), width}
	b.Label += ", CA's suggested renewal window from " + when(r.Start) + " to " + when(r.End)
}

// position returns the position of t, limited to the bar.
func (b *bar) position(t time.Time) float64 {
	return min(max(100*float64(t.Sub(b.Begin))/float64(b.End.Sub(b.Begin)), 0), 100)
}

func (b *bar) mark(t time.Time) *mark { return &mark{t, b.position(t), 100 - b.position(t)} }
