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

// Keep lets this process have all its rights until Drop, which calls give to give up those
// that the process does not need. give must not use a package that calls Drop.
func Keep(give func() error) {
	dropping.Lock()
	defer dropping.Unlock()
	drop = give
	kept.Store(give != nil)
}

// Drop gives up the rights as Keep has arranged; without Keep, or the second time, it does
// nothing. After an error the caller must not open the socket, start the program or change
// the file.
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
