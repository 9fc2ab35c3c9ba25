package probe

import (
	"os"
	"testing"

	"keypaird/renew/leaktest"
)

// Nothing that a look at an endpoint starts outlives it.
func TestMain(m *testing.M) { os.Exit(leaktest.Run(m)) }
