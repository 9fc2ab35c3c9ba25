package verify

import (
	"os"
	"testing"

	"keypaird/renew/leaktest"
)

// No goroutine that a probe starts outlives it.
func TestMain(m *testing.M) { os.Exit(leaktest.Run(m)) }
