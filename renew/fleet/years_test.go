package fleet

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"keypaird/renew/fleet/engine/memory"
	"keypaird/renew/testutil"
)

// In these two years the wall clock runs 500 times faster than the other, by which leases
// last: otherwise keep-alives would be all that happens.
const faster = 500

// TestYears lets two years pass for five nodes, of which two order, with nodes that are away
// for days, an engine that is away for weeks, restored from old backups and emptied, and a
// CA that is down.
func TestYears(t *testing.T) {
	if testing.Short() {
		t.Skip("two simulated years")
	}
	synctest.Test(t, func(t *testing.T) {
		s := newSimulation(t, 1, []string{"a", "b", "c", "d", "e"}, map[string]time.Duration{
			"six.example": 6 * day, "fortyfive.example": 45 * day, "ninety.example": 90 * day,
		})
		began := time.Now()
		s.clock = func() time.Time { return began.Add(time.Since(began) * faster) }
		s.ca.clock = s.clock
		s.order, s.stops, s.every = []string{"a", "b"}, 0, 3*time.Hour/faster
		days := func(n float64) { time.Sleep(time.Duration(n * float64(day) / faster)) }
		for _, n := range s.sim {
			n.boot()
		}
		days(1)
		events, restores, backup := 0, 0, s.server.Backup()
		length := 2 * 365 * day
		if testutil.Race {
			length = 120 * day
		}
		for s.clock().Before(began.Add(length)) {
			events++
			n := s.sim[s.names[s.random.IntN(len(s.names))]]
			switch s.random.IntN(9) {
			case 0:
				n.end("once")
				days(5 * s.random.Float64())
				n.boot()
			case 1:
				n.end("term")
				days(s.random.Float64() / 10)
				n.boot()
			case 2:
				n.client.Set(memory.Faults{Unreachable: true})
				days(10 * s.random.Float64())
				n.client.Set(memory.Faults{})
			case 3:
				s.server.Set(memory.Faults{Unreachable: true})
				days(2 * s.random.Float64())
				s.server.Set(memory.Faults{})
			case 4:
				s.server.Set(memory.Faults{ReadOnly: true})
				days(2 * s.random.Float64())
				s.server.Set(memory.Faults{})
			case 5:
				restores++
				s.restore(backup)
			case 6:
				backup = s.server.Backup()
			case 7:
				s.ca.setDown(true)
				days(s.random.Float64())
				s.ca.setDown(false)
			case 8:
				if s.random.IntN(4) == 0 {
					restores++
					s.restore(memory.Backup{})
				}
			}
			days(3 * s.random.Float64())
		}
		days(2)
		s.check()
		for _, n := range s.sim {
			n.stop()
		}
		for _, n := range s.sim {
			n.end("once")
		}
		certificates, doubles := s.ca.doubles()
		// The order under way may be among what a restored engine lost.
		if len(doubles) > restores/4 || float64(certificates) < 250*length.Hours()/(2*365*day).Hours() {
			t.Errorf("%d certificates, twice: %q", certificates, doubles)
		}
		t.Logf("%d disturbances, %d of them an engine that lost something; %d orders, %d certificates, %d twice", events, restores, len(s.ca.orders), certificates, len(doubles))
	})
}

// restore gives the engine what a backup has.
func (s *simulation) restore(b memory.Backup) {
	if rand.IntN(2) == 0 { // nobody is connected meanwhile
		s.server.Set(memory.Faults{Unreachable: true})
		time.Sleep(time.Minute)
		defer s.server.Set(memory.Faults{})
	}
	s.server.Restore(b)
}

func (ca *countingCA) setDown(down bool) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	ca.down = down
}
