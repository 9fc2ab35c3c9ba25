package loop

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"
)

// BenchmarkTick is one look at the clock between passes, with 10,000 targets of
// which none has anything to do.
func BenchmarkTick(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			wall := time.Now()
			l := &Loop{
				Schedule: func(after time.Time) time.Time { return after.Add(time.Hour) },
				Clock:    func() time.Time { return wall },
				Log:      slog.New(slog.DiscardHandler),
				RunPass: func(context.Context, map[string]bool) map[string]time.Time {
					b.Error("a pass was made")
					return nil
				},
				next: map[string]time.Time{}, scheduled: wall.Add(time.Hour),
			}
			for i := range n {
				l.next[fmt.Sprintf("t%d", i)] = wall.Add(time.Duration(i+1) * time.Hour)
			}
			now := make(chan map[string]bool, 1)
			l.Now = now
			timer := time.NewTimer(tick)
			defer timer.Stop()
			b.ReportAllocs()
			for b.Loop() {
				if due := l.due(wall); len(due) > 0 {
					b.Fatal(due)
				}
				now <- nil // instead of the minute's wait
				l.wait(b.Context(), timer)
			}
		})
	}
}
