package fleet

import (
	"testing"
	"testing/synctest"
	"time"

	"keypaird/renew/testutil"
)

// issue lets four hours pass with a fault every minute, and returns how many certificates
// there are, and for which renewals there are two.
func issue(t *testing.T, seed uint64, fenced bool) (certificates int, doubles []string) {
	synctest.Test(t, func(t *testing.T) {
		s := newSimulation(t, seed, []string{"a", "b", "c"}, map[string]time.Duration{"one.example": 10 * time.Minute, "two.example": 16 * time.Minute})
		s.ca.clock = s.clock
		s.fenced = fenced
		for _, n := range s.sim {
			n.boot()
		}
		for began := time.Now(); time.Since(began) < time.Hour; {
			s.disturb()
		}
		s.mu.Lock()
		s.stops = 0
		s.mu.Unlock()
		time.Sleep(15 * time.Minute)
		if fenced {
			s.check()
		}
		for _, n := range s.sim {
			n.stop() // nothing changes while it is counted
		}
		for _, n := range s.sim {
			n.end("once")
		}
		certificates, doubles = s.ca.doubles()
		t.Logf("seed %d: %d orders, %d certificates", seed, len(s.ca.orders), certificates)
	})
	return certificates, doubles
}

// Whatever happens to nodes and engine, there is one certificate for each renewal.
func TestSingleIssuance(t *testing.T) {
	for seed := range seeds() {
		certificates, doubles := issue(t, seed, true)
		if len(doubles) > 0 || certificates < 15 {
			t.Errorf("seed %d: %d certificates, twice: %q", seed, certificates, doubles)
		}
	}
}

// Without the fence there are two for some, so that the test above shows something.
func TestIssuedTwiceWithoutFence(t *testing.T) {
	twice := 0
	for seed := range seeds() {
		_, doubles := issue(t, seed, false)
		twice += len(doubles)
	}
	if twice == 0 {
		t.Error("the fence is not needed")
	}
	t.Logf("issued twice: %d", twice)
}

func seeds() uint64 {
	if testutil.Race {
		return 2
	}
	return 8
}
