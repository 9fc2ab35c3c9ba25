package daemon

import (
	"context"
	"sync"
	"time"

	"keypaird/renew"
)

// watchEvery is how often the daemon checks the files of external certificates. It
// imports them when they did not change for that long.
const watchEvery = 2 * time.Second

// A fileWatch detects changes of the files of external certificates.
type fileWatch struct {
	mu      sync.Mutex
	marks   map[string]string // by target: of the last call
	pending bool              // a change that was not reported yet
}

// changed reports, once for each change, whether files have changed before the
// last call and not since then.
func (w *fileWatch) changed(targets []renew.Target) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	still := true
	for _, t := range targets {
		x := t.External()
		if x == nil {
			continue
		}
		mark := x.Mark()
		if before, known := w.marks[t.Name]; known && mark != before {
			w.pending, still = true, false
		}
		if w.marks == nil {
			w.marks = map[string]string{}
		}
		w.marks[t.Name] = mark
	}
	stable := w.pending && still
	w.pending = w.pending && !still
	return stable
}

// watchFiles requests a pass when the files of an external certificate have
// changed, until ctx ends.
func (d *Daemon) watchFiles(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		d.currentMu.RLock()
		current := d.current
		d.currentMu.RUnlock()
		if current.files.changed(current.engine.Targets) {
			d.log.Info("external certificate files changed")
			d.requestPass()
		}
	}
}
