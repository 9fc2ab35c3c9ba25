package acme_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"keypaird/renew/testutil"
)

// Nothing that a client starts outlives it. Pebble never ends the loop that
// takes what is to be validated: it is made to run until its process ends.
func TestMain(m *testing.M) {
	os.Exit(testutil.Run(m, goleak.IgnoreTopFunction("github.com/letsencrypt/pebble/v2/va.VAImpl.processTasks")))
}
