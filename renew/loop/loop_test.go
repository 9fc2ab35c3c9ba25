package loop

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A watch is a Loop whose passes are written down.
type watch struct {
	Loop
	mu    sync.Mutex
	ahead time.Duration   // of the wall clock
	all   []time.Duration // since the start by the true clock: looks at all
	some  []time.Duration // looks at "a" alone
	beats int
	next  func(wall time.Time) time.Time // of "a"; nil: never
	took  time.Duration                  // a pass takes
}

// watching runs a loop for so long, while do happens.
func watching(t *testing.T, length time.Duration, w *watch, do func()) {
	t.Helper()
	began := time.Now()
	w.Clock = func() time.Time {
		w.mu.Lock()
		defer w.mu.Unlock()
		return time.Now().Add(w.ahead).Round(0)
	}
	w.RunPass = func(ctx context.Context, due map[string]bool) map[string]time.Time {
		if due == nil {
			w.all = append(w.all, time.Since(began))
		} else {
			w.some = append(w.some, time.Since(began))
		}
		select {
		case <-time.After(w.took):
		case <-ctx.Done():
		}
		if w.next == nil {
			return nil
		}
		return map[string]time.Time{"a": w.next(w.Clock())}
	}
	if w.Schedule == nil {
		w.Schedule = func(after time.Time) time.Time { return after.Add(30 * time.Minute) }
	}
	w.Alive = func() { w.beats++ }
	w.Log = slog.New(slog.DiscardHandler)
	ctx, stop := context.WithTimeout(t.Context(), length)
	defer stop()
	var loop sync.WaitGroup
	loop.Go(func() { w.Run(ctx) })
	if do != nil {
		do()
	}
	loop.Wait()
}

func (w *watch) step(by time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ahead += by
}

func TestLoop(t *testing.T) {
	const m = time.Minute
	for _, tt := range []struct {
		name  string
		watch *watch
		do    func(w *watch)
		all   []time.Duration
		some  []time.Duration
	}{
		{"the schedule alone", &watch{}, nil, []time.Duration{0, 30 * m, 60 * m, 90 * m}, nil},
		{"woken exactly when a target has something to do", &watch{next: in(7*m + 3*time.Second)}, nil,
			[]time.Duration{0, 30 * m, 60 * m, 90 * m},
			[]time.Duration{7*m + 3*time.Second, 14*m + 6*time.Second, 21*m + 9*time.Second, 28*m + 12*time.Second,
				37*m + 3*time.Second, 44*m + 6*time.Second, 51*m + 9*time.Second, 58*m + 12*time.Second,
				67*m + 3*time.Second, 74*m + 6*time.Second, 81*m + 9*time.Second, 88*m + 12*time.Second,
				97*m + 3*time.Second}},
		{"the machine sleeps for a day", &watch{next: in(3 * time.Hour)}, func(w *watch) {
			time.Sleep(10*m + 30*time.Second)
			w.step(24 * time.Hour)
		}, []time.Duration{0, 11 * m, 41 * m, 71 * m}, nil},
		{"the clock is put back by a day", &watch{}, func(w *watch) {
			time.Sleep(10*m + 30*time.Second)
			w.step(-24 * time.Hour)
		}, []time.Duration{0, 11 * m, 41 * m, 71 * m}, nil},
		{"the clock is put right by seconds", &watch{}, func(w *watch) {
			time.Sleep(10*m + 30*time.Second)
			w.step(-5 * time.Second)
		}, []time.Duration{0, 30*m + 5*time.Second, 60*m + 5*time.Second, 90*m + 5*time.Second}, nil},
		{"a schedule that never comes", &watch{Loop: Loop{Schedule: func(time.Time) time.Time { return time.Time{} }}}, nil, []time.Duration{0}, nil},
		{"a schedule in the past", &watch{Loop: Loop{Schedule: func(after time.Time) time.Time { return after.Add(-m) }}}, nil, []time.Duration{0}, nil},
		{"a pass that takes longer than the schedule", &watch{took: 40 * m}, nil, []time.Duration{0, 70 * m}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				watching(t, 100*m, tt.watch, func() {
					if tt.do != nil {
						tt.do(tt.watch)
					}
				})
				if !slices.Equal(tt.watch.all, tt.all) || !slices.Equal(tt.watch.some, tt.some) {
					t.Errorf("looked at all after %v, want %v; at one after %v, want %v", tt.watch.all, tt.all, tt.watch.some, tt.some)
				}
				if tt.watch.beats < 100 {
					t.Errorf("%d beats in 100 minutes", tt.watch.beats)
				}
			})
		})
	}
}

func in(d time.Duration) func(time.Time) time.Time {
	return func(wall time.Time) time.Time { return wall.Add(d) }
}

func TestLookNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := make(chan map[string]bool)
		w := &watch{Loop: Loop{Now: now}}
		watching(t, 50*time.Minute, w, func() {
			time.Sleep(5 * time.Minute)
			now <- nil
			time.Sleep(time.Minute)
			now <- map[string]bool{} // something else is to be done
		})
		if want := []time.Duration{6 * time.Minute}; !slices.Equal(w.some, want) {
			t.Errorf("looked at some after %v, want %v", w.some, want)
		}
		if want := []time.Duration{0, 5 * time.Minute, 30 * time.Minute}; !slices.Equal(w.all, want) {
			t.Errorf("looked after %v, want %v", w.all, want)
		}
	})
}

// A pass that does not come to its end is no life.
func TestHungPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &watch{took: 1000 * time.Hour}
		watching(t, 24*time.Hour, w, nil)
		if w.beats < 300 || w.beats > 400 {
			t.Errorf("%d beats in a day, want those of six hours", w.beats)
		}
	})
}
