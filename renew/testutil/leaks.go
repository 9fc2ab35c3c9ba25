package testutil

import (
	"fmt"
	"os"

	"go.uber.org/goleak"
)

// leakChecks is how often to check before a goroutine that still runs is called
// a leak. goleak itself gives up after half a second, which on a busy machine is
// too little for goroutines that are about to end. A clean package waits for none
// of it.
const leakChecks = 60

// Run takes the place of (*testing.M).Run: it runs the tests and returns the exit
// status, which is 1 if they pass and leave goroutines other than those of
// allowed.
func Run(m goleak.TestingM, allowed ...goleak.Option) int {
	code := m.Run()
	if code != 0 {
		return code
	}
	var err error
	for range leakChecks {
		if err = goleak.Find(allowed...); err == nil {
			return 0
		}
	}
	fmt.Fprintln(os.Stderr, "the tests pass, but leak:", err)
	return 1
}
