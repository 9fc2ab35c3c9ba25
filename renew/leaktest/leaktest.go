// Package leaktest makes the tests of a package fail when a goroutine outlives
// them. Only tests import it: its Run takes the place of (*testing.M).Run.
package leaktest

import (
	"fmt"
	"os"

	"go.uber.org/goleak"
)

// looks is how often to look before what still runs is called a leak. goleak
// itself gives up after half a second, which on a busy machine is too little
// for goroutines that are about to end. A clean package waits for none of it.
const looks = 60

// Run runs the tests and returns what their process is to exit with: what they
// do, or 1 if they pass and leave goroutines other than those of allowed.
func Run(m goleak.TestingM, allowed ...goleak.Option) int {
	code := m.Run()
	if code != 0 {
		return code
	}
	var err error
	for range looks {
		if err = goleak.Find(allowed...); err == nil {
			return 0
		}
	}
	fmt.Fprintln(os.Stderr, "the tests pass, but leak:", err)
	return 1
}
