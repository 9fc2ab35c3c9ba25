package daemon

import (
	"context"
	"keypaird/renew"
	"sync"
	"time"
)

// watchEvery is how often the daemon looks at the files of bought certificates.
// They are taken when they were left alone for that long.
const watchEvery = 2 * time.Second

// A watch knows how the files of bought certificates were.
type watch struct {
	mu    sync.Mutex
	marks map[string]string // by target
	moved bool
}

// settled reports whether files have changed, and not since the last call.
func (v *watch) settled(targets []renew.Target) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	still := true
	for _, t := range targets {
		x := t.External()
		if x == nil {
			continue
		}
		mark := x.Mark()
		if before, known := v.marks[t.Name]; known && mark != before {
			v.moved, still = true, false
		}
		if v.marks == nil {
			v.marks = map[string]string{}
		}
		v.marks[t.Name] = mark
	}
	wake := v.moved && still
	v.moved = v.moved && !still
	return wake
}

// watchFiles has all targets looked at when the files of a bought certificate
// have changed, until ctx ends.
func (k *Daemon) watchFiles(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		k.inUse.RLock()
		parts, files := k.parts, k.files
		k.inUse.RUnlock()
		if files.settled(parts.Targets) {
			k.log.Info("files of a bought certificate changed")
			k.wake()
		}
	}
}
