package cli

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// CollectLate has garbage collections wait until four times as much was allocated as is
// in use, as long as that is little, and the first one for 16 MB: most commands end before.
func CollectLate() {
	usual := debug.SetGCPercent(400)
	type mark struct{ *mark } // has a pointer: other objects would share its memory, and keep it
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	var collected func(int)
	collected = func(most int) {
		if metrics.Read(live); live[0].Value.Uint64() > uint64(most) {
			debug.SetGCPercent(usual)
			return
		}
		runtime.AddCleanup(new(mark), collected, most)
	}
	runtime.AddCleanup(new(mark), collected, 8<<20)
}
