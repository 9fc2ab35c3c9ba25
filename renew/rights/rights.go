package rights

import (
	"sync"
	"sync/atomic"
)

var (
	kept     atomic.Bool // there is something to drop
	dropping sync.Mutex
	drop     func() error
)

// Keep lets this process have all its rights until Drop; give takes those from it that it
// does not need. It must not use what calls Drop.
func Keep(give func() error) {
	dropping.Lock()
	defer dropping.Unlock()
	drop = give
	kept.Store(give != nil)
}

// Drop returns nil when this process has given up its rights, if it is to. While that
// fails, nothing may be done that needs it.
func Drop() error {
	if !kept.Load() {
		return nil
	}
	dropping.Lock()
	defer dropping.Unlock()
	if drop == nil { // another has called it meanwhile
		return nil
	}
	err := drop()
	if err == nil {
		drop = nil
		kept.Store(false)
	}
	return err
}
