package durable

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Callers that arrive while a sync runs share the next one: none of them returns
// before a sync that began after it arrived, and each gets that one's error.
func TestSyncsAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s syncs
		var began []time.Time
		failed := errors.New("failed")
		disk := func() error {
			began = append(began, time.Now())
			n := len(began)
			time.Sleep(10 * time.Millisecond)
			if n == 2 {
				return failed
			}
			return nil
		}
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond)
				arrived := time.Now()
				err := s.share(disk)
				took := time.Since(arrived)
				switch {
				case i == 0 && (err != nil || took != 10*time.Millisecond):
					t.Errorf("the first: %v after %v", err, took)
				case i > 0 && i < 10 && (err != failed || took < 10*time.Millisecond):
					t.Errorf("caller %d, during the first sync: %v after %v", i, err, took)
				case i > 10 && err != nil:
					t.Errorf("caller %d, during the second sync: %v", i, err)
				}
			})
		}
		wg.Wait()
		if len(began) != 3 {
			t.Errorf("%d syncs for 16 callers in 16 ms, want 3", len(began))
		}
	})
}
