package rights

import (
	"errors"
	"sync"
	"testing"
)

// Rights are dropped once, whoever needs it first, and all others wait for that.
func TestDrop(t *testing.T) {
	if err := Drop(); err != nil {
		t.Errorf("nothing is to be dropped: %v", err)
	}
	failed := errors.New("failed")
	calls, gone := 0, false
	Keep(func() error {
		if calls++; calls == 1 {
			return failed
		}
		gone = true
		return nil
	})
	t.Cleanup(func() { Keep(nil) })
	if err := Drop(); err != failed {
		t.Errorf("error %v, want %v", err, failed)
	}
	var work sync.WaitGroup
	for range 16 {
		work.Go(func() {
			if err := Drop(); err != nil || !gone {
				t.Errorf("returned before the rights were gone: %v", err)
			}
		})
	}
	work.Wait()
	if calls != 2 {
		t.Errorf("%d calls, want a failed one and one more", calls)
	}
}
