package acme_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"keypaird/renew/testutil"
)

// No goroutine of a client outlives it. Pebble's validation loop runs until the process
// ends.
func TestMain(m *testing.M) {
	os.Exit(testutil.Run(m, goleak.IgnoreTopFunction("github.com/letsencrypt/pebble/v2/va.VAImpl.processTasks")))
}
