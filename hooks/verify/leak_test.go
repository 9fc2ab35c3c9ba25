package verify

import (
	"os"
	"testing"

	"keypaird/renew/testutil"
)

// No goroutine that a probe starts outlives it.
func TestMain(m *testing.M) { os.Exit(testutil.Run(m)) }
