package renew

import (
	"os"
	"testing"

	"keypaird/renew/leaktest"
)

// Nothing that a pass or a loop starts outlives it.
func TestMain(m *testing.M) { os.Exit(leaktest.Run(m)) }
