package status

import (
	"fmt"
	"time"
)

// A bar is a lifetime as a picture: from the left, where the certificate begins,
// to the right, where it ends. Places are in percent.
type bar struct {
	Begin, End time.Time
	NotLive    bool // it is that of a certificate not in use
	Now        float64
	Due        *mark // nil: another certificate is to be replaced, or nothing is known
	Overdue    *mark
	Window     *stretch // nil: the CA suggests none
	Label      string   // all of it in words
}

// A mark is an instant.
type mark struct {
	At    time.Time
	Place float64
	Rest  float64 // of the bar, from there on
}

// A stretch is a time from one instant to another.
type stretch struct {
	From, To     time.Time
	Place, Width float64
}

// narrow is how narrow a stretch is drawn at least, to be seen.
const narrow = 1.5

func newBar(t Target, now time.Time) *bar {
	c := t.Live
	if c == nil {
		c = t.Newest
	}
	if c == nil || !c.NotAfter.After(c.NotBefore) {
		return nil
	}
	b := &bar{Begin: c.NotBefore, End: c.NotAfter, NotLive: t.Live == nil}
	b.Now = b.place(now)
	b.Label = fmt.Sprintf("lifetime from %s to %s, of which %.0f%% is over", when(b.Begin), when(b.End), b.Now)
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

// window marks the window that the CA suggests.
func (b *bar) window(r *Renewal) {
	if r == nil || r.Start.IsZero() {
		return
	}
	from, to := b.place(r.Start), b.place(r.End)
	width := max(to-from, narrow)
	b.Window = &stretch{r.Start, r.End, min(from, 100-width), width}
	b.Label += ", window of the CA from " + when(r.Start) + " to " + when(r.End)
}

// place is where t is, within the bar.
func (b *bar) place(t time.Time) float64 {
	return min(max(100*float64(t.Sub(b.Begin))/float64(b.End.Sub(b.Begin)), 0), 100)
}

func (b *bar) mark(t time.Time) *mark { return &mark{t, b.place(t), 100 - b.place(t)} }
